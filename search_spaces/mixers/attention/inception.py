"""Inception mixer: convolution, max-pooling and attention each take a part of the channels.

    x = [c, p, a]
    c' = gelu(DW_3(W_c c)),  p' = gelu(W_p maxpool_3(p))        both with twice the channels
    a' = up_s(MSA(avgpool_s(a)))        softmax attention in heads, nearest up-sampling
    y = W_o ([c', p', a'] + DW_3([c', p', a']))        x, y: (B, C, H, W)

The network's depth decides the share of a, the low frequencies: it grows from stage to stage.
Elastic: channels of each part and heads (leading).
Paper: Inception Transformer, Si et al. 2022, https://arxiv.org/abs/2205.12956 (Section 3.2; the
widths of the parts and the gelu from the authors' code)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.family import MIXERS, Family, Options, choice
from search_spaces.layers import (
    PointwiseLinear,
    attend,
    depthwise,
    heads_of,
    maps,
    merge_heads,
    split_heads,
    tokens,
)


@dataclass(frozen=True)
class InceptionOptions(Options):
    """Share of the channels that attend, reduction of their map, width of a head."""

    share: float = choice(0.25, 0.75, unit="of the channels")
    pool: int = choice(2, 1, unit="px")
    head_dim: int = choice(16, 32, unit="channels", meaning="head width")


class Fused(nn.Module):
    """A part of the mixed channels, filtered and projected to all channels."""

    def __init__(self, dim: int, out_dim: int, bias: bool = False) -> None:
        super().__init__()
        self.filter = depthwise(dim, 3, bias=False)
        self.project = PointwiseLinear(dim, out_dim, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, part, H, W) -> (B, C, H, W)."""
        y: Tensor = self.project(x + self.filter(x))
        return y


class Inception(nn.Module):
    """High frequencies by convolution and pooling, low ones by attention."""

    def __init__(self, dim: int, options: InceptionOptions) -> None:
        super().__init__()
        self.pool = options.pool
        low = min(max(1, round(dim * options.share)), dim - 2)
        conv = (dim - low) // 2
        self.split = [conv, dim - low - conv, low]
        self.heads = heads_of(low, options.head_dim)
        inner = self.heads * options.head_dim
        self.expand_conv = PointwiseLinear(conv, 2 * conv, bias=False)
        self.filter = depthwise(2 * conv, 3, bias=False)
        self.expand_pool = PointwiseLinear(self.split[1], 2 * self.split[1])
        self.q = nn.Linear(low, inner)
        self.k = nn.Linear(low, inner)
        self.v = nn.Linear(low, inner)
        # The depthwise filter and the projection of all parts, part by part.
        self.fuse_conv = Fused(2 * conv, dim)
        self.fuse_pool = Fused(2 * self.split[1], dim)
        self.fuse_attention = Fused(inner, dim, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        conv, pool, low = torch.split(x, self.split, 1)
        conv = F.gelu(self.filter(self.expand_conv(conv)))
        pool = F.gelu(self.expand_pool(F.max_pool2d(pool, 3, 1, 1)))
        y: Tensor = (
            self.fuse_conv(conv) + self.fuse_pool(pool) + self.fuse_attention(self._attend(low))
        )
        return y

    def _attend(self, x: Tensor) -> Tensor:
        """(B, low, H, W) -> (B, inner, H, W)."""
        height, width = x.shape[2:]
        if self.pool > 1:
            x = F.avg_pool2d(x, self.pool, self.pool, ceil_mode=True)
        t = tokens(x)
        q, k, v = (split_heads(layer(t), self.heads) for layer in (self.q, self.k, self.v))
        y = merge_heads(attend(q, k, v))
        y = maps(y, *x.shape[2:])
        if self.pool > 1:
            y = F.interpolate(y, scale_factor=float(self.pool))[:, :, :height, :width]
        return y


MIXERS.register(
    Family(
        "inception",
        InceptionOptions,
        Inception,
        paper="https://arxiv.org/abs/2205.12956",
        nested=(),  # the parts begin at other channels
    )
)
