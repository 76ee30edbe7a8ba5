"""Scattering: low frequencies are scaled at each place, high ones are mixed across channels.

    l, h_1, ..., h_6 = S(x)        S: one level of the dual-tree complex wavelet transform
    l' = G . l,   h_i' = W_2 a(W_1 h_i + b_1) + b_2        complex matrices, a = relu
    y = S^-1(l', h_1', ..., h_6')                          x, y: (B, C, H, W)

l is as large as the map, the six orientations h_i are complex and half as large along each side.
The matrices mix the channels of a block at each place; the relu acts on real and imaginary parts.
G has one size and is resampled to the map's. The transform has near-symmetric filters of 5 and 7
taps and mirrors the map at its border; an odd side repeats its last row or column.
Elastic: channels in blocks of 16 (leading).
Paper: Scattering Vision Transformer, Patro and Agneeswaran 2023, https://arxiv.org/abs/2311.01310
(Section 2), the channel-mixing layer; the filters are Kingsbury's, which the authors' code uses in
a longer version
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.family import MIXERS, Family, Options
from search_spaces.mixers.spectral.adaptive_frequency import ComplexBlocks

GRID = 14  # side of the map that the weights of low frequencies match
LOW = (-1 / 20, 1 / 4, 3 / 5, 1 / 4, -1 / 20)
HIGH = tuple(c / 280 for c in (3, -15, -73, 170, -73, -15, 3))
LOW_BACK = tuple(c / 280 for c in (-3, -15, 73, 170, 73, -15, -3))
HIGH_BACK = (-1 / 20, -1 / 4, 3 / 5, -1 / 4, -1 / 20)
HALF = math.sqrt(0.5)


@dataclass(frozen=True)
class ScatteringOptions(Options):
    """Nothing to choose."""


class Scattering(nn.Module):
    """Gates in the space of a complex wavelet transform."""

    def __init__(self, dim: int, options: ScatteringOptions) -> None:
        super().__init__()
        self.low = nn.Parameter(torch.randn(dim, GRID, GRID) * 0.02)
        self.enter, self.leave = ComplexBlocks(dim), ComplexBlocks(dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        height, width = x.shape[2:]
        low, real, imaginary = scattered(x)
        gate: Tensor = self.low[None]
        gate = F.interpolate(gate, low.shape[2:], mode="bilinear", align_corners=True)
        real, imaginary = (part.movedim(3, -1) for part in (real, imaginary))
        mixed = self.leave(*(part.relu() for part in self.enter(real, imaginary)))
        real, imaginary = (part[..., : x.shape[1]].movedim(-1, 3) for part in mixed)
        y = gathered(low * gate, real, imaginary)[..., :height, :width]
        return y.contiguous(memory_format=torch.channels_last)


def scattered(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The transform of a map (B, C, H, W); H and W are rounded up to even numbers.

    Returns:
        Low frequencies (B, C, H, W), and the real and imaginary parts of the high ones, each
        (B, 2, 3, C, H/2, W/2): two orientations of each of three bands.
    """
    halves = [_filtered(x, taps, 2) for taps in (LOW, HIGH)]
    low, *bands = (_filtered(half, taps, 3) for half in halves for taps in (LOW, HIGH))
    t = torch.stack(bands, dim=1)  # (B, 3, C, H, W)
    a, b, c, d = (t[..., i::2, j::2] * HALF for i in (0, 1) for j in (0, 1))
    return low, torch.stack([a - d, a + d], dim=1), torch.stack([b + c, b - c], dim=1)


def gathered(low: Tensor, real: Tensor, imaginary: Tensor) -> Tensor:
    """The inverse of `scattered`, (B, C, H, W)."""
    (r1, r2), (i1, i2) = real.unbind(1), imaginary.unbind(1)
    quads = [r1 + r2, i1 + i2, i1 - i2, r2 - r1]  # a, b, c, d
    rows = [torch.stack(quads[i : i + 2], dim=-1).flatten(-2) for i in (0, 2)]
    t = torch.stack(rows, dim=-2).flatten(-3, -2) * HALF  # (B, 3, C, H, W)
    bands = [low, *t.unbind(1)]
    halves = [
        _filtered(bands[i], LOW_BACK, 3) + _filtered(bands[i + 1], HIGH_BACK, 3) for i in (0, 2)
    ]
    return _filtered(halves[0], LOW_BACK, 2) + _filtered(halves[1], HIGH_BACK, 2)


def _filtered(x: Tensor, taps: Sequence[float], dim: int) -> Tensor:
    """A map filtered along one side with symmetric taps; an odd side grows by one."""
    margin = len(taps) // 2
    x = x.index_select(dim, _mirrored(x.shape[dim], margin, x.device))
    kernel = torch.tensor(taps, dtype=x.dtype, device=x.device)
    kernel = kernel.reshape((1, 1, -1, 1) if dim == 2 else (1, 1, 1, -1))
    return F.conv2d(x, kernel.expand(x.shape[1], -1, -1, -1), groups=x.shape[1])


def _mirrored(length: int, margin: int, device: torch.device) -> Tensor:
    """Places of an even side with margins: mirrored at the border, which counts twice."""
    even = length + length % 2
    place = torch.arange(-margin, even + margin, device=device) % (2 * even)
    place = torch.minimum(place, 2 * even - 1 - place)
    return place.clamp(max=length - 1)


MIXERS.register(
    Family(
        "scattering",
        ScatteringOptions,
        Scattering,
        paper="https://arxiv.org/abs/2311.01310",
        nested=(),  # the shifts of a block that the width does not fill reach channels beyond it
    )
)
