"""Kernelised attention with relative positions: random features, and a Toeplitz product by FFT.

    f(u) = exp(W u / |u|)        W: m rows, orthogonal in blocks, as long as Gaussian vectors
    y_i = sum_j c_{j-i} (f(q_i) . f(k_j)) v_j / sum_j c_{j-i} (f(q_i) . f(k_j)),  c = exp(b)
    x, y: (B, C, H, W); the sums are per head, the output is projected by W_o

b is a learned table over row and column offsets; an offset beyond it has the value of its edge.
The sums over j are correlations of c with the maps of f(k_j) v_j: they cost N log N operations.
Elastic: channels and heads (leading).
Paper: Stable, Fast and Accurate, Luo et al. 2021, https://arxiv.org/abs/2106.12566 (Section 3)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.constants import constants
from search_spaces.directions import orthogonal_directions
from search_spaces.family import MIXERS, Family, Options, choice
from search_spaces.layers import heads_of, maps, merge_heads, split_heads, tokens

REACH = 14  # greatest offset with an entry of its own, plus one
TOGETHER = 4  # features whose maps are in memory at once, padded to four times their size


@dataclass(frozen=True)
class KernelRpeOptions(Options):
    """Number of random features of a head, width of a head."""

    features: int = choice(16, 32)
    head_dim: int = choice(16, 32, unit="channels", meaning="head width")


class KernelRpeAttention(nn.Module):
    """Linear attention with relative positions."""

    directions: Tensor

    def __init__(self, dim: int, options: KernelRpeOptions) -> None:
        super().__init__()
        self.heads = heads_of(dim, options.head_dim)
        inner = self.heads * options.head_dim
        self.q = nn.Linear(dim, inner)
        self.k = nn.Linear(dim, inner)
        self.v = nn.Linear(dim, inner)
        self.project = nn.Linear(inner, dim)
        self.bias = nn.Parameter(torch.empty(self.heads, 2 * REACH - 1, 2 * REACH - 1))
        nn.init.trunc_normal_(self.bias, std=0.02)
        directions = orthogonal_directions(options.features, options.head_dim)
        self.register_buffer("directions", torch.tensor(directions, dtype=torch.float32))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        height, width = x.shape[2:]
        t = tokens(x)
        q, k = self._features(self.q(t)), self._features(self.k(t))  # (B, heads, m, N)
        v = split_heads(self.v(t), self.heads).transpose(2, 3)  # (B, heads, d, N)
        v = F.pad(v, (0, 0, 0, 1), value=1.0)  # the last channel sums the weights
        spectrum = self._spectrum(v, height, width)
        y = torch.zeros_like(v)  # (B, heads, d + 1, N)
        for some_q, some_k in zip(q.split(TOGETHER, 2), k.split(TOGETHER, 2), strict=True):
            products = torch.unflatten(some_k[:, :, :, None] * v[:, :, None], 4, (height, width))
            sums = _correlated(products, spectrum)
            y = y + (some_q[:, :, :, None] * sums.flatten(4)).sum(2)
        y = (y[:, :, :-1] / y[:, :, -1:]).transpose(2, 3)
        return maps(self.project(merge_heads(y)), height, width)

    def _features(self, t: Tensor) -> Tensor:
        """(B, N, inner) -> (B, heads, m, N)."""
        u = F.normalize(split_heads(t, self.heads), dim=3)
        return torch.exp(self.directions @ u.transpose(2, 3))

    def _spectrum(self, like: Tensor, height: int, width: int) -> Tensor:
        """Of c, the weights of the offsets, (heads, 1, 1, 2 H, W + 1)."""
        table: Tensor = self.bias
        wide = torch.promote_types(like.dtype, torch.float32)
        rows, columns = (_circle(like, side, like.device) for side in (height, width))
        return torch.fft.rfft2(torch.exp(table[:, rows][:, :, columns].to(wide)))[:, None, None]


def _correlated(u: Tensor, spectrum: Tensor) -> Tensor:
    """Sums over all positions of (B, heads, m, d + 1, H, W), weighted by their offsets."""
    height, width = u.shape[4:]
    # Half precisions have no FFT.
    wide = torch.promote_types(u.dtype, torch.float32)
    padded = F.pad(u.to(wide), (0, width, 0, height))
    y = torch.fft.irfft2(torch.fft.rfft2(padded) * spectrum, s=(2 * height, 2 * width))
    return y[..., :height, :width].to(u.dtype)


@constants
def _circle(side: int, device: torch.device) -> Tensor:
    """Entry of the table for each offset along an axis: 0, -1, -2, ..., then the positive ones."""
    step = torch.arange(2 * side, device=device)
    offset = torch.where(step < side, -step, 2 * side - step)
    return offset.clamp(1 - REACH, REACH - 1) + REACH - 1


MIXERS.register(
    Family(
        "kernel_rpe",
        KernelRpeOptions,
        KernelRpeAttention,
        paper="https://arxiv.org/abs/2106.12566",
        nested=("dim",),
    )
)
