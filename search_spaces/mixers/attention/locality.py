"""Locality self-attention: a learned temperature for each head, and no position sees itself.

    R_h = q_h k_h^T,  R_h[i, i] = -inf
    y = W_o * concat_h softmax(R_h / T_h) v_h        x, y: (B, C, H, W)

Both make attention sharper, which networks trained on few images do not learn by themselves. The
temperature begins at sqrt(d), that of plain attention, for a head of d channels. What is learned
is the sharpness sqrt(d) / T_h, which begins at 1 whatever the width of a head is; the authors'
code learns 1 / T_h. Queries, keys and values have no biases, as there. The only position of a map
of one sees itself.
Elastic: channels and heads (leading).
Paper: Vision Transformer for Small-Size Datasets, Lee et al. 2021,
https://arxiv.org/abs/2112.13492 (section "Locality Self-Attention Mechanism")
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from search_spaces.constants import constants
from search_spaces.family import MIXERS, Family, Options, choice
from search_spaces.layers import attend, heads_of, maps, merge_heads, split_heads, tokens


@dataclass(frozen=True)
class LocalityOptions(Options):
    """Width of a head."""

    head_dim: int = choice(16, 32, 64, unit="channels", meaning="head width")


class LocalityAttention(nn.Module):
    """Self-attention that looks sharply at other positions."""

    def __init__(self, dim: int, options: LocalityOptions) -> None:
        super().__init__()
        self.heads = heads_of(dim, options.head_dim)
        inner = self.heads * options.head_dim
        self.q = nn.Linear(dim, inner, bias=False)
        self.k = nn.Linear(dim, inner, bias=False)
        self.v = nn.Linear(dim, inner, bias=False)
        self.project = nn.Linear(inner, dim)
        self.sharpness = nn.Parameter(torch.ones(self.heads))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        height, width = x.shape[2:]
        t = tokens(x)
        q, k, v = (split_heads(layer(t), self.heads) for layer in (self.q, self.k, self.v))
        q = q * self.sharpness[:, None, None]
        y = attend(q, k, v, _others(q, height * width, q.device))  # (B, heads, N, head_dim)
        return maps(self.project(merge_heads(y)), height, width)


@constants
def _others(count: int, device: torch.device) -> Tensor:
    """Where each position may look, (count, count)."""
    if count == 1:
        return torch.ones(1, 1, dtype=torch.bool, device=device)
    return ~torch.eye(count, dtype=torch.bool, device=device)


MIXERS.register(
    Family(
        "locality",
        LocalityOptions,
        LocalityAttention,
        paper="https://arxiv.org/abs/2112.13492",
        nested=("dim",),
    )
)
