"""Injective linear attention: scores are shifted, not divided, so that they sum to one.

    s_ij = q_i . k_j / sqrt(d),   z_i = mean_j(s_ij v_j) + (1 - mean_j s_ij) mean_j v_j    per head
    y = W_o (z + R * v)           x, y: (B, C, H, W)

Different queries give different scores, which division does not promise. R is a 3 x 3 kernel for
each image and channel, from a perceptron of each head over the mean of the image's map:
R = W_2 gelu(W_1 mean(x)).
Elastic: channels and heads (leading; a head is always `head_dim` wide, and perceptrons of heads of
another width are others).
Paper: Bridging the Divide: Reconsidering Softmax and Linear Attention (InLine), Han et al. 2024,
https://arxiv.org/abs/2412.06590 (Section 4)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.family import MIXERS, Family, Options, choice
from search_spaces.layers import heads_of, maps, merge_heads, split_heads, taps, tokens
from search_spaces.slicing import leading

SIDE = 3  # of the local kernels


@dataclass(frozen=True)
class InjectiveLinearOptions(Options):
    """Width of a head."""

    head_dim: int = choice(16, 32, 64, unit="channels", meaning="head width")


class HeadLinear(nn.Module):
    """One linear layer for each head; (B, heads, in) -> (B, heads, out)."""

    def __init__(self, heads: int, in_dim: int, out_dim: int) -> None:
        super().__init__()
        bound = in_dim**-0.5
        self.weight = nn.Parameter(torch.empty(heads, in_dim, out_dim))
        self.bias = nn.Parameter(torch.empty(heads, out_dim))
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, t: Tensor) -> Tensor:
        """Apply each head's layer to its row."""
        return torch.einsum("bhi,hio->bho", t, self.weight) + self.bias


class LocalKernels(nn.Module):
    """Kernels of an image, one for each channel, from the mean of its map."""

    def __init__(self, heads: int, head_dim: int) -> None:
        super().__init__()
        self.heads, self.head_dim = heads, head_dim
        self.hidden = HeadLinear(heads, head_dim, head_dim)
        self.kernels = HeadLinear(heads, head_dim, head_dim * SIDE**2)

    def forward(self, mean: Tensor) -> Tensor:
        """Means (B, C) -> kernels (B, heads * head_dim, 3 * 3)."""
        # A head sees its channels: what the heads do not cover is left out, the rest is zero.
        mean = F.pad(mean, (0, self.heads * self.head_dim - mean.shape[1]))
        t = mean.reshape(-1, self.heads, self.head_dim)
        kernels: Tensor = self.kernels(F.gelu(self.hidden(t)))
        return kernels.reshape(-1, mean.shape[1], SIDE**2)


class InjectiveLinearAttention(nn.Module):
    """InLine attention with its local residual."""

    def __init__(self, dim: int, options: InjectiveLinearOptions) -> None:
        super().__init__()
        width = options.head_dim
        self.heads, self.scale = heads_of(dim, width), width**-0.5
        inner = self.heads * width
        self.q = nn.Linear(dim, inner)
        self.k = nn.Linear(dim, inner)
        self.v = nn.Linear(dim, inner)
        self.project = nn.Linear(inner, dim)
        self.local = nn.ModuleDict({f"width{width}": LocalKernels(self.heads, width)})

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        height, width = x.shape[2:]
        t = tokens(x)
        values = self.v(t)
        q, k = (split_heads(layer(t), self.heads) for layer in (self.q, self.k))
        v = split_heads(values, self.heads)  # (B, heads, N, d)
        q = q * self.scale
        context = (k * (1.0 / (height * width))).transpose(2, 3) @ v  # (B, heads, d, d)
        mean_score = q @ k.mean(dim=2, keepdim=True).transpose(2, 3)  # (B, heads, N, 1)
        y = merge_heads(q @ context + (1 - mean_score) * v.mean(dim=2, keepdim=True))

        (local,) = self.local.values()
        kernels = local(t.mean(dim=1)).unbind(2)  # 9 times (B, inner)
        shifted = taps(torch.unflatten(values, 1, (height, width)), SIDE)
        for kernel, tap in zip(kernels, shifted, strict=True):
            y = torch.addcmul(y, kernel[:, None], tap.flatten(1, 2))
        return maps(self.project(y), height, width)


MIXERS.register(
    Family(
        "injective_linear",
        InjectiveLinearOptions,
        InjectiveLinearAttention,
        paper="https://arxiv.org/abs/2412.06590",
        nested=("dim",),
        cut=lambda name, largest, child: leading(largest, child),
    )
)
