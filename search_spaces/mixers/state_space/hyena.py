"""Hyena N-D: a convolution as large as the map, with a kernel from a small network, between gates.

    [v, g, o] = DW_3 * (W x),  u = v * g
    y = W_o (o * sum_d w_d (h_d * u + D u))        x, y: (B, C, H, W)
    h(i, j) = e^(-|a| i - |b| j) f(i, j),   f: a network of sines of the place

h is the kernel for distances to the right and down; h_d is it in direction d of four, turned over
along rows, columns, both or neither. One transform with the sum of the four does them all. The
network takes rows and columns together (`joint`), or h is the product of a kernel for rows and one
for columns (`product`). Places are in units of a map of 14 x 14, so any map can be filtered.
Elastic: channels (leading).
Papers: Multi-Dimensional Hyena, Zimerman and Wolf 2023, https://arxiv.org/abs/2309.13600
(Section 3), order 2, four directions; Hyena, Poli et al. 2023, https://arxiv.org/abs/2302.10866
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from search_spaces.family import MIXERS, Family, Options, choice
from search_spaces.layers import PointwiseLinear, depthwise

GRID = 14  # side of the map that places are measured by
HIDDEN = 32  # width of the network of a kernel
FEATURES = 3  # of a place along an axis
DECAYS = (math.log(100) / 1.5, math.log(100) / 0.3)  # of the first and the last channel


@dataclass(frozen=True)
class HyenaOptions(Options):
    """How a kernel depends on rows and columns."""

    filter: str = choice("product", "joint")


class ImplicitFilter(nn.Module):
    """Values of a kernel at places, from features of the places; (..., in) -> (..., C)."""

    def __init__(self, features: int, dim: int) -> None:
        super().__init__()
        self.enter, self.inner = nn.Linear(features, HIDDEN), nn.Linear(HIDDEN, HIDDEN)
        self.leave = nn.Linear(HIDDEN, dim, bias=False)
        self.frequency = nn.Parameter(torch.ones(HIDDEN))

    def forward(self, features: Tensor) -> Tensor:
        """Two layers of sines with learned frequencies."""
        t = torch.sin(self.frequency * self.enter(features))
        y: Tensor = self.leave(torch.sin(self.frequency * self.inner(t)))
        return y


class Hyena(nn.Module):
    """Gated global convolution without attention."""

    def __init__(self, dim: int, options: HyenaOptions) -> None:
        super().__init__()
        self.value, self.local_value = PointwiseLinear(dim, dim), depthwise(dim, 3)
        self.enter, self.local_enter = PointwiseLinear(dim, dim), depthwise(dim, 3)
        self.leave, self.local_leave = PointwiseLinear(dim, dim), depthwise(dim, 3)
        self.project = PointwiseLinear(dim, dim)
        joint = options.filter == "joint"
        self.plane = ImplicitFilter(2 * FEATURES, dim) if joint else None
        self.rows = None if joint else ImplicitFilter(FEATURES, dim)
        self.columns = None if joint else ImplicitFilter(FEATURES, dim)
        self.decay_rows = nn.Parameter(torch.linspace(*DECAYS, dim))
        self.decay_columns = nn.Parameter(torch.linspace(*DECAYS, dim))
        self.skip = nn.Parameter(torch.randn(dim))
        self.directions = nn.Parameter(torch.full((4,), 0.25))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        u = self.local_value(self.value(x)) * self.local_enter(self.enter(x))
        y: Tensor = self._convolved(u) + u * (self.skip * self.directions.sum())[:, None, None]
        y = self.project(y * self.local_leave(self.leave(x)))
        return y

    def _convolved(self, u: Tensor) -> Tensor:
        """A map with the kernels of all directions, (B, C, H, W) -> (B, C, H, W)."""
        height, width = u.shape[2:]
        size = (2 * height, 2 * width)
        # Half precisions have no FFT: the spectra are computed in float32.
        wide = torch.promote_types(u.dtype, torch.float32)
        kernel = torch.fft.rfft2(self._kernel(height, width).to(wide))  # (C, 2H, W + 1)
        padded = nn.functional.pad(u.to(wide), (0, width, 0, height))
        y: Tensor = torch.fft.irfft2(torch.fft.rfft2(padded) * kernel, s=size)
        return y[..., :height, :width].to(u.dtype).contiguous(memory_format=torch.channels_last)

    def _kernel(self, height: int, width: int) -> Tensor:
        """The sum of the directions' kernels, (C, 2H, 2W), beginning with distance 0."""
        rows, columns = (_places(n + 1, self.skip) for n in (height, width))  # 0 ... n
        if self.plane is not None:
            grid = [
                torch.broadcast_to(f, (height + 1, width + 1, FEATURES))
                for f in (_features(rows)[:, None], _features(columns))
            ]
            kernel: Tensor = self.plane(torch.cat(grid, dim=2))
        else:
            assert self.rows is not None and self.columns is not None
            kernel = self.rows(_features(rows))[:, None] * self.columns(_features(columns))
        fall_rows, fall_columns = (
            torch.exp(-decay.abs() * places[:, None])
            for decay, places in ((self.decay_rows, rows), (self.decay_columns, columns))
        )
        kernel = kernel * fall_rows[:, None] * fall_columns  # (H + 1, W + 1, C)
        kernel = _both_ways(_both_ways(kernel, 0), 1)  # (2H, 2W, C)
        return kernel.permute(2, 0, 1) * self._weights(height, width)

    def _weights(self, height: int, width: int) -> Tensor:
        """What the four directions weigh at each distance, (2H, 2W)."""
        down, up = _sides(height, self.directions)
        right, left = _sides(width, self.directions)
        ways = [(down, right), (up, left), (down, left), (up, right)]
        masks = torch.stack([rows[:, None] * columns for rows, columns in ways])
        return torch.einsum("d,dij->ij", self.directions, masks)


def _places(count: int, like: Tensor) -> Tensor:
    """0, 1, ... in units of the grid."""
    return torch.arange(count, device=like.device).to(like.dtype) / (GRID - 1)


def _features(places: Tensor) -> Tensor:
    """The place itself, and its sine and cosine once around the grid; (n,) -> (n, 3)."""
    turn = 2 * math.pi * places
    return torch.stack([places, turn.cos(), turn.sin()], dim=1)


def _both_ways(kernel: Tensor, dim: int) -> Tensor:
    """For distances 0 ... n: 0 ... n, then 1 - n ... -1, as a transform of size 2n wants them."""
    back = kernel.narrow(dim, 1, kernel.shape[dim] - 2)
    return torch.cat([kernel, back.flip(dim)], dim=dim)


def _sides(count: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Whether each of the 2n distances is at least zero, and whether it is at most zero."""
    place = torch.arange(2 * count, device=like.device)
    return (place < count).to(like.dtype), ((place == 0) | (place > count)).to(like.dtype)


MIXERS.register(
    Family(
        "hyena",
        HyenaOptions,
        Hyena,
        paper="https://arxiv.org/abs/2309.13600",
        nested=("dim",),
    )
)
