"""Random-feature attention: softmax attention estimated with positive random features.

    f(u)_r = exp(w_r . u' - |u'|^2 / 2) / sqrt(m),  u' = u / d^(1/4),  r = 1 ... m
    y_i = f(q_i) (sum_j f(k_j)^T v_j) / (f(q_i) . sum_j f(k_j))        per head, then W_o
    x, y: (B, C, H, W)

The directions w are orthogonal in blocks of d, with the lengths of Gaussian vectors; they are
constants, equal in all heads and all networks. Each exponent of a key is taken relative to the
greatest one of its feature, which is added to the queries' instead, and each of a query relative
to the query's greatest one. All of it cancels. What is summed stays in the range of half
precision, and no sum is less than one over the number of positions, so no constant is needed.
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
        q, k = self._features(self._exponents(q), self._exponents(k))  # (B, heads, N, m)
        mean = 1.0 / (height * width)  # keeps the sums in range at any resolution
        context = (k * mean).transpose(2, 3) @ v  # (B, heads, m, d)
        total = q @ k.mean(dim=2, keepdim=True).transpose(2, 3)  # (B, heads, N, 1)
        return maps(self.project(merge_heads(q @ context / total)), height, width)

    def _exponents(self, u: Tensor) -> Tensor:
        """Logarithms of the positive features of queries or keys."""
        u = u * u.shape[-1] ** -0.25
        return u @ self.directions.T - u.square().sum(-1, keepdim=True) / 2

    def _features(self, q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        """Features of queries and keys from their exponents, up to a factor of each query's.

        The greatest key of each feature is 1, and so is the greatest feature of each query.
        """
        greatest = k.detach().amax(2, keepdim=True)  # of each feature
        q = q + greatest
        return torch.exp(q - q.detach().amax(3, keepdim=True)), torch.exp(k - greatest)


MIXERS.register(
    Family(
        "random_feature",
        RandomFeatureOptions,
        RandomFeatureAttention,
        paper="https://arxiv.org/abs/2009.14794",
        nested=("dim",),
    )
)
