"""Convolutional projection: depthwise convolutions make the queries, keys and values local.

    u_p = W_p BN(DW_3(x))        p: q at stride 1, k and v at stride s
    y = W_o * concat_h softmax(q_h k_h^T / sqrt(d)) v_h        x, y: (B, C, H, W)

Elastic: channels and heads (leading).
Paper: CvT, Wu et al. 2021, https://arxiv.org/abs/2103.15808 (Section 3.2)
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from search_spaces.family import MIXERS, Family, Options, choice
from search_spaces.layers import (
    attend,
    depthwise,
    heads_of,
    maps,
    merge_heads,
    split_heads,
    tokens,
)


@dataclass(frozen=True)
class ConvProjectionOptions(Options):
    """Stride of keys and values, width of a head."""

    stride: int = choice(2, 1, unit="px")
    head_dim: int = choice(16, 32, 64, unit="channels", meaning="head width")


class ConvProjectionAttention(nn.Module):
    """Attention whose projections see the neighbours of each position."""

    def __init__(self, dim: int, options: ConvProjectionOptions) -> None:
        super().__init__()
        self.heads = heads_of(dim, options.head_dim)
        inner = self.heads * options.head_dim
        self.query = _local(dim, 1)
        self.key = _local(dim, options.stride)
        self.value = _local(dim, options.stride)
        self.q = nn.Linear(dim, inner)
        self.k = nn.Linear(dim, inner)
        self.v = nn.Linear(dim, inner)
        self.project = nn.Linear(inner, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        height, width = x.shape[2:]
        q = split_heads(self.q(tokens(self.query(x))), self.heads)
        k = split_heads(self.k(tokens(self.key(x))), self.heads)
        v = split_heads(self.v(tokens(self.value(x))), self.heads)
        y = attend(q, k, v)  # (B, heads, N, head_dim)
        return maps(self.project(merge_heads(y)), height, width)


def _local(dim: int, stride: int) -> nn.Module:
    return nn.Sequential(depthwise(dim, 3, stride, bias=False), nn.BatchNorm2d(dim))


MIXERS.register(
    Family(
        "conv_projection",
        ConvProjectionOptions,
        ConvProjectionAttention,
        paper="https://arxiv.org/abs/2103.15808",
        nested=("dim",),
    )
)
