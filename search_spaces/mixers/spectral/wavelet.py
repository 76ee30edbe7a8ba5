"""Wavelet-space attention: attention among the wavelet coefficients of each level.

    c_1, ..., c_L, a_L = W(x)        W: orthogonal wavelet transform of L levels
    y = W^T [A_1(c_1), ..., A_L(c_L), A_0(a_L)]        x, y: (B, C, H, W)

A level's tokens are the coefficients of its three orientations, c_l, and those of the coarse map,
a_L; each set has its own multi-head self-attention A. The transform is taken along rows and along
columns, and the map is periodic; a side that 2^L does not divide is padded with zeros.
Elastic: channels and heads (leading; a head is always `head_dim` wide).
Paper: WavSpA, Zhuang et al. 2022, https://arxiv.org/abs/2210.01989 (Section 3), with fixed
wavelets; there positions are a sequence
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.family import MIXERS, Family, Options, choice
from search_spaces.layers import attend, heads_of, merge_heads, split_heads

Filters = tuple[tuple[float, ...], tuple[float, ...]]
_ROOT = math.sqrt(3)
SCALING = {
    "haar": tuple(c / math.sqrt(2) for c in (1, 1)),
    "db2": tuple(c / math.sqrt(32) for c in (1 + _ROOT, 3 + _ROOT, 3 - _ROOT, 1 - _ROOT)),
}
"""Taps of each wavelet's scaling filter; Daubechies 1992, Table 6.1."""


@dataclass(frozen=True)
class WaveletOptions(Options):
    """Kind of wavelet, levels of the transform, width of a head."""

    wavelet: str = choice("haar", "db2")
    levels: int = choice(2, 1)
    head_dim: int = choice(16, 32, unit="channels", meaning="head width")


class SelfAttention(nn.Module):
    """Multi-head self-attention among tokens, (B, N, C) -> (B, N, C)."""

    def __init__(self, dim: int, head_dim: int) -> None:
        super().__init__()
        self.heads = heads_of(dim, head_dim)
        inner = self.heads * head_dim
        self.q = nn.Linear(dim, inner, bias=False)
        self.k = nn.Linear(dim, inner, bias=False)
        self.v = nn.Linear(dim, inner, bias=False)
        self.project = nn.Linear(inner, dim, bias=False)

    def forward(self, t: Tensor) -> Tensor:
        """Every token looks at every other one."""
        q, k, v = (split_heads(layer(t), self.heads) for layer in (self.q, self.k, self.v))
        y: Tensor = self.project(merge_heads(attend(q, k, v)))
        return y


class WaveletAttention(nn.Module):
    """Self-attention in the space of wavelet coefficients."""

    def __init__(self, dim: int, options: WaveletOptions) -> None:
        super().__init__()
        self.filters = filters_of(options.wavelet)
        self.levels = options.levels
        self.coarse = SelfAttention(dim, options.head_dim)
        self.details = nn.ModuleList(
            SelfAttention(dim, options.head_dim) for _ in range(self.levels)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        height, width = x.shape[2:]
        step = 2**self.levels
        coarse = F.pad(x.permute(0, 2, 3, 1), (0, 0, 0, -width % step, 0, -height % step))
        details = []
        for attention in self.details:
            coarse, *bands = self._analysed(coarse)
            details.append(_attended(attention, bands))
        (coarse,) = _attended(self.coarse, [coarse])
        for bands in reversed(details):
            coarse = self._composed([coarse, *bands])
        return coarse[:, :height, :width].contiguous().permute(0, 3, 1, 2)

    def _analysed(self, t: Tensor) -> list[Tensor]:
        """A map (B, H, W, C) as its coarse map and its three details, each (B, H/2, W/2, C)."""
        halves = analysed(t, 1, self.filters)
        return [band for half in halves for band in analysed(half, 2, self.filters)]

    def _composed(self, bands: Sequence[Tensor]) -> Tensor:
        """The inverse of `_analysed`."""
        low, high = (composed(bands[i], bands[i + 1], 2, self.filters) for i in (0, 2))
        return composed(low, high, 1, self.filters)


def _attended(attention: nn.Module, bands: list[Tensor]) -> list[Tensor]:
    """Attention among the coefficients of some bands (B, h, w, C) of one size."""
    height, width = bands[0].shape[1:3]
    t = attention(torch.cat([band.flatten(1, 2) for band in bands], dim=1))
    return [torch.unflatten(part, 1, (height, width)) for part in t.chunk(len(bands), dim=1)]


def filters_of(wavelet: str) -> Filters:
    """The taps of the low and of the high filter."""
    low = SCALING[wavelet]
    return low, tuple(tap * (-1) ** k for k, tap in enumerate(reversed(low)))


def analysed(t: Tensor, dim: int, filters: Filters) -> list[Tensor]:
    """Low and high half along a dimension: half_i = sum_k tap_k t_(2i + k), t periodic."""
    pairs = torch.unflatten(t, dim, (-1, 2)).unbind(dim + 1)  # even, odd
    moved = [_rolled(pairs[k % 2], -(k // 2), dim) for k in range(len(filters[0]))]
    return [_weighted(moved, taps) for taps in filters]


def composed(low: Tensor, high: Tensor, dim: int, filters: Filters) -> Tensor:
    """The inverse of `analysed`, its transpose."""
    pairs = []
    for parity in (0, 1):
        places = range(parity, len(filters[0]), 2)
        moved = [_rolled(half, k // 2, dim) for half in (low, high) for k in places]
        pairs.append(_weighted(moved, [taps[k] for taps in filters for k in places]))
    return torch.stack(pairs, dim=dim + 1).flatten(dim, dim + 1)


def _rolled(t: Tensor, places: int, dim: int) -> Tensor:
    return torch.roll(t, places, dim) if places else t


def _weighted(tensors: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    total = tensors[0] * weights[0]
    for tensor, weight in zip(tensors[1:], weights[1:], strict=True):
        total = total.add(tensor, alpha=weight)
    return total


MIXERS.register(
    Family(
        "wavelet",
        WaveletOptions,
        WaveletAttention,
        paper="https://arxiv.org/abs/2210.01989",
        nested=("dim",),
    )
)
