"""Downsampling: from one stage's map to the next, smaller and wider one.

    conv      3x3 convolution at stride s of the normed map                          CvT
    unnormed  the same without the norm                                              PoolFormer
    overlap   the same with another norm after it                                    PVT v2
    patch     s x s convolution at stride s of the normed map                        ConvNeXt
    merge     W norm(the s x s neighbours side by side)                              Swin
    pool      s x s average pooling, then a linear layer over the channels           PiT
    residual  the pooled and projected map, plus the strided convolution of norm(x)
    padded_residual  the same with new channels of zeros instead of the projection   ViT-ResNAS

(B, C, H, W) -> (B, C', H / s, W / s), rounded up. Elastic: both widths (leading).

In a supernet `conv`, `pool` and `residual` have their convolution and their projection in common:
`residual` is nearly the sum of the two others. A downsampling replaces the map, so all that
follows must read what each of them gives. With weights of their own, children that differ in it
kept each other from learning.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.family import DOWNSAMPLINGS, Family, Options
from search_spaces.layers import PointwiseLinear, channels_last, make_norm, pad_to


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


class Unnormed(nn.Module):
    """An overlapping strided convolution."""

    def __init__(
        self, dim: int, out_dim: int, stride: int, options: DownsamplingOptions, norm: str
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(dim, out_dim, 3, stride, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H / s, W / s)."""
        y: Tensor = self.conv(x)
        return y


class Patch(nn.Module):
    """A norm, and a convolution of patches that do not overlap; a map is padded to fit."""

    def __init__(
        self, dim: int, out_dim: int, stride: int, options: DownsamplingOptions, norm: str
    ) -> None:
        super().__init__()
        self.stride = stride
        self.norm = make_norm(norm, dim)
        self.conv = nn.Conv2d(dim, out_dim, stride, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H / s, W / s)."""
        return channels_last(self.conv(pad_to(self.norm(x), self.stride)))


class Merge(nn.Module):
    """Neighbours side by side, a norm of them, and a projection; a map is padded to fit.

    The s^2 positions of a channel stand together, so that leading channels stay leading.
    """

    def __init__(
        self, dim: int, out_dim: int, stride: int, options: DownsamplingOptions, norm: str
    ) -> None:
        super().__init__()
        self.stride = stride
        self.norm = make_norm(norm, dim * stride**2)
        self.project = PointwiseLinear(dim * stride**2, out_dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H / s, W / s)."""
        patches = F.pixel_unshuffle(pad_to(x, self.stride), self.stride)  # (B, s^2 C, H/s, W/s)
        y: Tensor = self.project(self.norm(channels_last(patches)))
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


class PaddedResidual(nn.Module):
    """A pooled shortcut without weights beside a strided convolution.

    New channels of the shortcut are zero; if there are fewer channels, its last ones are left out.
    Paper: ViT-ResNAS, Liao et al. 2021, https://arxiv.org/abs/2109.00642 (residual spatial
    reduction; after it the paper adds learned positions, which tie a network to one resolution)
    """

    def __init__(
        self, dim: int, out_dim: int, stride: int, options: DownsamplingOptions, norm: str
    ) -> None:
        super().__init__()
        self.stride, self.more = stride, out_dim - dim
        self.norm = make_norm(norm, dim)
        self.conv = nn.Conv2d(dim, out_dim, 3, stride, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H / s, W / s)."""
        pooled = F.avg_pool2d(x, self.stride, ceil_mode=True)
        y: Tensor = self.conv(self.norm(x)) + F.pad(pooled, (0, 0, 0, 0, 0, self.more))
        return y


DOWNSAMPLINGS.register(
    Family(
        "conv",
        DownsamplingOptions,
        Conv,
        paper="https://arxiv.org/abs/2103.15808",
        nested=(),
        common=("norm", "conv"),
        axes=lambda options: {"norm": ("in",), "conv": ("out", "in")},
    )
)
DOWNSAMPLINGS.register(
    Family(
        "unnormed",
        DownsamplingOptions,
        Unnormed,
        paper="https://arxiv.org/abs/2111.11418",
        nested=(),
        axes=lambda options: {"conv": ("out", "in")},
    )
)
DOWNSAMPLINGS.register(
    Family(
        "patch",
        DownsamplingOptions,
        Patch,
        paper="https://arxiv.org/abs/2201.03545",
        nested=(),
        axes=lambda options: {"norm": ("in",), "conv": ("out", "in")},
    )
)
DOWNSAMPLINGS.register(
    Family(
        "merge",
        DownsamplingOptions,
        Merge,
        paper="https://arxiv.org/abs/2103.14030",
        nested=(),
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
        common=("project",),
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
        common=("norm", "conv", "project"),
    )
)
DOWNSAMPLINGS.register(
    Family(
        "padded_residual",
        DownsamplingOptions,
        PaddedResidual,
        paper="https://arxiv.org/abs/2109.00642",
        nested=(),
    )
)
