"""Strip self-attention: a score is the product of very few channels, over a reduced map.

    z = DW_r(x)        r x r depthwise convolution at stride r
    y = W_o * concat_h softmax(q_h(x) k_h(z)^T / sqrt(c)) v_h(z)        x, y: (B, C, H, W)

Queries and keys have c channels for each head, values have `head_dim`. In the paper c is 1. A map
that r does not divide is padded with zeros at the bottom and the right.
Elastic: channels and heads (leading), the reduction's kernel (centre window).
Paper: S2AFormer, Xu et al. 2025, https://arxiv.org/abs/2505.22195 (Section III)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.family import MIXERS, Family, Options, choice
from search_spaces.layers import attend, heads_of, maps, merge_heads, split_heads, tokens


@dataclass(frozen=True)
class StripOptions(Options):
    """Reduction of keys and values along each side, channels of a score, width of a head."""

    ratio: int = choice(4, 2, default=2)
    key_dim: int = choice(1, 4, unit="channels")
    head_dim: int = choice(16, 32, unit="channels", meaning="head width")


class StripAttention(nn.Module):
    """Attention with few keys and values, and thin queries and keys."""

    def __init__(self, dim: int, options: StripOptions) -> None:
        super().__init__()
        self.ratio = options.ratio
        self.heads = heads_of(dim, options.head_dim)
        thin, inner = self.heads * options.key_dim, self.heads * options.head_dim
        self.reduce = nn.Conv2d(dim, dim, self.ratio, self.ratio, groups=dim)
        self.q = nn.Linear(dim, thin)
        self.k = nn.Linear(dim, thin)
        self.v = nn.Linear(dim, inner)
        self.project = nn.Linear(inner, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        height, width = x.shape[2:]
        down, right = -height % self.ratio, -width % self.ratio
        z = tokens(self.reduce(F.pad(x, (0, right, 0, down)) if down or right else x))
        q = split_heads(self.q(tokens(x)), self.heads)
        k, v = split_heads(self.k(z), self.heads), split_heads(self.v(z), self.heads)
        y = attend(q, k, v)  # (B, heads, N, head_dim)
        return maps(self.project(merge_heads(y)), height, width)


MIXERS.register(
    Family(
        "strip",
        StripOptions,
        StripAttention,
        paper="https://arxiv.org/abs/2505.22195",
        nested=("dim",),
    )
)
