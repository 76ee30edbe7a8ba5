"""Concentrated linear attention: linear attention with ReLU features, then two large kernels.

    z_i = t r(q_i) (sum_j r(k_j)^T v_j) / max(r(q_i) . sum_j r(k_j), 100),  r = relu    per head
    u = W_o z
    y = u + DW_k(BN(gelu(DW_k(LN(x + u)))))        x, y: (B, C, H, W)

Each head has a learned temperature t. The kernels concentrate what attention spreads over the
map. In the paper's block the norm sees the block's sum before its own norm; here it sees x.
Elastic: channels and heads (leading), kernels (centre window).
Paper: The Linear Attention Resurrection in Vision Transformer (L2ViT), Zheng 2025,
https://arxiv.org/abs/2501.16182 (Section 3), with the authors' code
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.family import MIXERS, Family, Options, choice
from search_spaces.layers import (
    LayerNorm2d,
    depthwise,
    heads_of,
    maps,
    merge_heads,
    split_heads,
    tokens,
)

LEAST_TOTAL = 100.0  # smaller sums of scores count as this much, which keeps training stable


@dataclass(frozen=True)
class ConcentratedLinearOptions(Options):
    """Side of the two kernels, width of a head."""

    kernel: int = choice(5, 7, default=7, unit="px", meaning="depthwise kernel")
    head_dim: int = choice(16, 32, 64, unit="channels", meaning="head width")


class ConcentratedLinearAttention(nn.Module):
    """L2ViT's linear global attention followed by its local concentration module."""

    def __init__(self, dim: int, options: ConcentratedLinearOptions) -> None:
        super().__init__()
        self.heads = heads_of(dim, options.head_dim)
        inner = self.heads * options.head_dim
        self.q = nn.Linear(dim, inner)
        self.k = nn.Linear(dim, inner)
        self.v = nn.Linear(dim, inner)
        self.project = nn.Linear(inner, dim)
        self.temperature = nn.Parameter(torch.full((self.heads,), options.head_dim**-0.5))
        self.norm1 = LayerNorm2d(dim)
        self.local1 = depthwise(dim, options.kernel)
        self.norm2 = nn.BatchNorm2d(dim)
        self.local2 = depthwise(dim, options.kernel)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        u = self._attention(x)
        y: Tensor = self.norm2(F.gelu(self.local1(self.norm1(x + u))))
        y = u + self.local2(y)
        return y

    def _attention(self, x: Tensor) -> Tensor:
        """Linear global attention, (B, C, H, W) -> (B, C, H, W)."""
        t = tokens(x)
        q, k, v = (split_heads(layer(t), self.heads) for layer in (self.q, self.k, self.v))
        q, k = q.relu(), k.relu()
        total = q @ k.sum(dim=2, keepdim=True).transpose(2, 3)  # (B, heads, N, 1)
        context = k.transpose(2, 3) @ v * self.temperature[:, None, None]
        y = q @ context / total.clamp(min=LEAST_TOTAL)
        return maps(self.project(merge_heads(y)), *x.shape[2:])


MIXERS.register(
    Family(
        "concentrated_linear",
        ConcentratedLinearOptions,
        ConcentratedLinearAttention,
        paper="https://arxiv.org/abs/2501.16182",
        nested=("kernel",),  # the norm averages over channels
    )
)
