"""Rank-augmented linear attention: weighted keys and gated outputs restore the lost rank.

    a_j = N softmax_j(mean(f(q)) . f(k_j) / sqrt(d)),  f(u) = elu(u) + 1     N positions
    z_i = f(q_i) (sum_j a_j f(k_j)^T v_j) / (f(q_i) . sum_j a_j f(k_j))      per head
    y = W_o ((z + DW_k(v)) * (W_g x))        x, y: (B, C, H, W)

The weights a_j raise the rank of the sum over keys, the product with W_g x that of the output.
The published network rotates queries and keys by position outside this operator.
Elastic: channels and heads (leading), the convolution's kernel (centre window).
Paper: Breaking the Low-Rank Dilemma of Linear Attention (RALA), Fan et al. 2024,
https://arxiv.org/abs/2411.07635 (Section 3)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.family import MIXERS, Family, Options, choice
from search_spaces.layers import depthwise, heads_of, maps, merge_heads, split_heads, tokens

EPS = 1e-6


@dataclass(frozen=True)
class RankAugmentedOptions(Options):
    """Kernel of the values' convolution, width of a head."""

    kernel: int = choice(3, 5, default=5, unit="px", meaning="depthwise kernel")
    head_dim: int = choice(16, 32, 64, unit="channels", meaning="head width")


class RankAugmentedAttention(nn.Module):
    """Linear attention with a weight for each key and a gate for each output."""

    def __init__(self, dim: int, options: RankAugmentedOptions) -> None:
        super().__init__()
        self.heads, self.scale = heads_of(dim, options.head_dim), options.head_dim**-0.5
        inner = self.heads * options.head_dim
        self.q = nn.Linear(dim, inner)
        self.k = nn.Linear(dim, inner)
        self.v = nn.Linear(dim, inner)
        self.gate = nn.Linear(dim, inner)
        self.local = depthwise(inner, options.kernel)
        self.project = nn.Linear(inner, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        height, width = x.shape[2:]
        t = tokens(x)
        values = self.v(t)  # (B, N, inner)
        q = F.elu(split_heads(self.q(t), self.heads)) + 1  # (B, heads, N, d)
        k = F.elu(split_heads(self.k(t), self.heads)) + 1
        v = split_heads(values, self.heads)
        scores = k @ (q.mean(dim=2, keepdim=True) * self.scale).transpose(2, 3)
        k = k * scores.softmax(dim=2)  # the weights sum to 1: a mean over keys is a sum now
        context = k.transpose(2, 3) @ v  # (B, heads, d, d)
        total = q @ k.sum(dim=2, keepdim=True).transpose(2, 3)  # (B, heads, N, 1)
        y = merge_heads(q @ context / (total + EPS))
        y = y + tokens(self.local(maps(values, height, width)))
        return maps(self.project(y * self.gate(t)), height, width)


MIXERS.register(
    Family(
        "rank_augmented",
        RankAugmentedOptions,
        RankAugmentedAttention,
        paper="https://arxiv.org/abs/2411.07635",
        nested=("dim", "kernel"),
    )
)
