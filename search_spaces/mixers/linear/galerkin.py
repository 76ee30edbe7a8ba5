"""Galerkin attention: normalised keys and values instead of a softmax.

    z_h = q_h (LN(k_h)^T LN(v_h)) / N        for each head, N positions
    y = W_o * concat_h z_h                   x, y: (B, C, H, W)

Each head has its own layer norms over its channels.
Elastic: channels and heads (leading; a head is always `head_dim` wide).
Paper: Choose a Transformer: Fourier or Galerkin, Cao 2021, https://arxiv.org/abs/2105.14995
(Section 3.1)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.family import MIXERS, Family, Options, choice
from search_spaces.layers import heads_of, maps, merge_heads, split_heads, tokens


@dataclass(frozen=True)
class GalerkinOptions(Options):
    """Width of a head."""

    head_dim: int = choice(16, 32, 64, unit="channels", meaning="head width")


class HeadNorm(nn.Module):
    """Layer norm over the channels of each head, with weights for each head."""

    def __init__(self, dim: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.bias = nn.Parameter(torch.zeros(dim))
        self.eps = eps

    def forward(self, t: Tensor) -> Tensor:
        """(B, heads, N, d) -> (B, heads, N, d)."""
        heads, width = t.shape[1], t.shape[-1]
        weight, bias = (u.reshape(heads, 1, width) for u in (self.weight, self.bias))
        return F.layer_norm(t, (width,), eps=self.eps) * weight + bias


class Galerkin(nn.Module):
    """Softmax-free attention whose cost grows with the number of positions."""

    def __init__(self, dim: int, options: GalerkinOptions) -> None:
        super().__init__()
        self.heads = heads_of(dim, options.head_dim)
        inner = self.heads * options.head_dim
        self.q = nn.Linear(dim, inner)
        self.k = nn.Linear(dim, inner)
        self.v = nn.Linear(dim, inner)
        self.norm_k = HeadNorm(inner)
        self.norm_v = HeadNorm(inner)
        self.project = nn.Linear(inner, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        height, width = x.shape[2:]
        t = tokens(x)  # (B, N, C)
        q, k, v = (split_heads(layer(t), self.heads) for layer in (self.q, self.k, self.v))
        mean = 1.0 / (height * width)
        context = (self.norm_k(k) * mean).transpose(2, 3) @ self.norm_v(v)  # (B, heads, d, d)
        return maps(self.project(merge_heads(q @ context)), height, width)


MIXERS.register(
    Family(
        "galerkin",
        GalerkinOptions,
        Galerkin,
        paper="https://arxiv.org/abs/2105.14995",
        nested=("dim",),
    )
)
