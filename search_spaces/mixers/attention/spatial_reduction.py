"""Spatial-reduction attention: every position looks at a map reduced by a strided convolution.

    z = LN(SR_r * x)        r x r convolution at stride r
    y = W_o * concat_h softmax(q_h(x) k_h(z)^T / sqrt(d)) v_h(z)        x, y: (B, C, H, W)

With ratio 1 nothing is reduced and there is neither convolution nor norm.
Elastic: channels and heads (leading), the reduction's kernel (centre window).
Paper: PVT, Wang et al. 2021, https://arxiv.org/abs/2102.12122 (Section 3.3)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.family import MIXERS, Family, Options, choice
from search_spaces.layers import (
    LayerNorm2d,
    attend,
    heads_of,
    maps,
    merge_heads,
    split_heads,
    tokens,
)


@dataclass(frozen=True)
class SpatialReductionOptions(Options):
    """By how much keys and values are reduced along each side, width of a head."""

    ratio: int = choice(8, 4, 2, 1, default=2)
    head_dim: int = choice(16, 32, 64, unit="channels", meaning="head width")


class SpatialReductionAttention(nn.Module):
    """Attention with full queries and reduced keys and values."""

    def __init__(self, dim: int, options: SpatialReductionOptions) -> None:
        super().__init__()
        self.ratio = options.ratio
        self.heads = heads_of(dim, options.head_dim)
        inner = self.heads * options.head_dim
        self.q = nn.Linear(dim, inner)
        self.k = nn.Linear(dim, inner)
        self.v = nn.Linear(dim, inner)
        self.project = nn.Linear(inner, dim)
        self.reduce = nn.Conv2d(dim, dim, self.ratio, self.ratio) if self.ratio > 1 else None
        self.norm = LayerNorm2d(dim) if self.ratio > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        height, width = x.shape[2:]
        reduced = x
        if self.reduce is not None and self.norm is not None:
            down, right = -height % self.ratio, -width % self.ratio
            padded = F.pad(x, (0, right, 0, down)) if down or right else x
            reduced = self.norm(self.reduce(padded))  # (B, C, H/r, W/r)
        q = split_heads(self.q(tokens(x)), self.heads)
        t = tokens(reduced)
        k, v = split_heads(self.k(t), self.heads), split_heads(self.v(t), self.heads)
        y = attend(q, k, v)  # (B, heads, N, head_dim)
        return maps(self.project(merge_heads(y)), height, width)


MIXERS.register(
    Family(
        "spatial_reduction",
        SpatialReductionOptions,
        SpatialReductionAttention,
        paper="https://arxiv.org/abs/2102.12122",
        reference="timm.models.pvt_v2.Attention",
        nested=(),  # the norm of the reduced map averages over channels
        axes=lambda options: {
            "q": ("heads", "in"),
            "k": ("heads", "in"),
            "v": ("heads", "in"),
            "reduce": ("in", "in"),
            "norm": ("in",),
            "project": ("out", "heads"),
        },
    )
)
