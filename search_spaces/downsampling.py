"""Downsampling: from one stage's map to the next, smaller and wider one.

    conv      3x3 convolution at stride s of the normed map                          CvT
    overlap   the same with another norm after it                                    PVT v2
    pool      s x s average pooling, then a linear layer over the channels           PiT
    residual  the pooled and projected map, plus the strided convolution of norm(x)  ViT-ResNAS

(B, C, H, W) -> (B, C', H / s, W / s), rounded up. Elastic: both widths (leading).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.family import DOWNSAMPLINGS, Family, Options
from search_spaces.layers import PointwiseLinear, make_norm


@dataclass(frozen=True)
class DownsamplingOptions(Options):
    """Nothing to choose: stride and widths belong to the stages."""


class Conv(nn.Module):
    """A norm and an overlapping strided convolution."""

    def __init__(
        self, dim: int, out_dim: int, stride: int, options: DownsamplingOptions, norm: str
    ) -> None:
        super().__init__()
        self.norm = make_norm(norm, dim)
        self.conv = nn.Conv2d(dim, out_dim, 3, stride, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H / s, W / s)."""
        y: Tensor = self.conv(self.norm(x))
        return y


class Overlap(nn.Module):
    """A norm, an overlapping strided convolution, and a norm of what it gives."""

    def __init__(
        self, dim: int, out_dim: int, stride: int, options: DownsamplingOptions, norm: str
    ) -> None:
        super().__init__()
        self.norm = make_norm(norm, dim)
        self.conv = nn.Conv2d(dim, out_dim, 3, stride, 1)
        self.last_norm = make_norm(norm, out_dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H / s, W / s)."""
        y: Tensor = self.last_norm(self.conv(self.norm(x)))
        return y


class Pool(nn.Module):
    """Average pooling and a projection; the last row and column of an odd side count too."""

    def __init__(
        self, dim: int, out_dim: int, stride: int, options: DownsamplingOptions, norm: str
    ) -> None:
        super().__init__()
        self.stride = stride
        self.norm = make_norm(norm, dim)
        self.project = PointwiseLinear(dim, out_dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H / s, W / s)."""
        y: Tensor = self.project(F.avg_pool2d(self.norm(x), self.stride, ceil_mode=True))
        return y


class Residual(nn.Module):
    """A pooled shortcut beside a strided convolution."""

    def __init__(
        self, dim: int, out_dim: int, stride: int, options: DownsamplingOptions, norm: str
    ) -> None:
        super().__init__()
        self.stride = stride
        self.norm = make_norm(norm, dim)
        self.conv = nn.Conv2d(dim, out_dim, 3, stride, 1)
        self.project = PointwiseLinear(dim, out_dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H / s, W / s)."""
        pooled = F.avg_pool2d(x, self.stride, ceil_mode=True)
        y: Tensor = self.project(pooled) + self.conv(self.norm(x))
        return y


DOWNSAMPLINGS.register(
    Family(
        "conv",
        DownsamplingOptions,
        Conv,
        paper="https://arxiv.org/abs/2103.15808",
        nested=(),
        axes=lambda options: {"norm": ("in",), "conv": ("out", "in")},
    )
)
DOWNSAMPLINGS.register(
    Family(
        "overlap",
        DownsamplingOptions,
        Overlap,
        paper="https://arxiv.org/abs/2106.13797",
        nested=(),
        axes=lambda options: {"norm": ("in",), "conv": ("out", "in"), "last_norm": ("out",)},
    )
)
DOWNSAMPLINGS.register(
    Family(
        "pool",
        DownsamplingOptions,
        Pool,
        paper="https://arxiv.org/abs/2103.16302",
        nested=(),
        axes=lambda options: {"norm": ("in",), "project": ("out", "in")},
    )
)
DOWNSAMPLINGS.register(
    Family(
        "residual",
        DownsamplingOptions,
        Residual,
        paper="https://arxiv.org/abs/2109.00642",
        nested=(),
    )
)
