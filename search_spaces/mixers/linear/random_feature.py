"""Random-feature attention: softmax attention estimated with positive random features.

    f(u)_r = exp(w_r . u' - |u'|^2 / 2) / sqrt(m),  u' = u / d^(1/4),  r = 1 ... m
    y_i = f(q_i) (sum_j f(k_j)^T v_j) / (f(q_i) . sum_j f(k_j))        per head, then W_o
    x, y: (B, C, H, W)

The directions w are orthogonal in blocks of d, with the lengths of Gaussian vectors; they are
constants, equal in all heads and all networks. Exponents are taken relative to the greatest one,
which cancels but for a small constant that is added to the features.
Elastic: channels and heads (leading; a head is always `head_dim` wide).
Paper: Performer, Choromanski et al. 2020, https://arxiv.org/abs/2009.14794 (Section 2.3-2.4)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from search_spaces.directions import orthogonal_directions
from search_spaces.family import MIXERS, Family, Options, choice
from search_spaces.layers import heads_of, maps, merge_heads, split_heads, tokens

EPS = 1e-6  # added to the features, so that no sum of them is zero


@dataclass(frozen=True)
class RandomFeatureOptions(Options):
    """How many random features, width of a head."""

    features: int = choice(64, 256)
    head_dim: int = choice(16, 32, 64, unit="channels", meaning="head width")


class RandomFeatureAttention(nn.Module):
    """FAVOR+ attention over all positions of a map."""

    directions: Tensor

    def __init__(self, dim: int, options: RandomFeatureOptions) -> None:
        super().__init__()
        self.heads = heads_of(dim, options.head_dim)
        inner = self.heads * options.head_dim
        self.q = nn.Linear(dim, inner)
        self.k = nn.Linear(dim, inner)
        self.v = nn.Linear(dim, inner)
        self.project = nn.Linear(inner, dim)
        directions = orthogonal_directions(options.features, options.head_dim)
        self.register_buffer("directions", torch.tensor(directions, dtype=torch.float32))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        height, width = x.shape[2:]
        t = tokens(x)
        q, k, v = (split_heads(layer(t), self.heads) for layer in (self.q, self.k, self.v))
        q = self._features(q, (3,))  # (B, heads, N, m)
        k = self._features(k, (2, 3))
        mean = 1.0 / (height * width)  # keeps the sums in range at any resolution
        context = (k * mean).transpose(2, 3) @ v  # (B, heads, m, d)
        total = q @ k.mean(dim=2, keepdim=True).transpose(2, 3)  # (B, heads, N, 1)
        return maps(self.project(merge_heads(q @ context / total)), height, width)

    def _features(self, u: Tensor, over: tuple[int, ...]) -> Tensor:
        """Positive features of queries or keys, relative to the greatest along some dimensions."""
        u = u * u.shape[-1] ** -0.25
        exponents = u @ self.directions.T
        exponents = exponents - u.square().sum(-1, keepdim=True) / 2
        greatest = exponents.detach().amax(over, keepdim=True)
        return torch.exp(exponents - greatest) + EPS


MIXERS.register(
    Family(
        "random_feature",
        RandomFeatureOptions,
        RandomFeatureAttention,
        paper="https://arxiv.org/abs/2009.14794",
        nested=("dim",),
    )
)
