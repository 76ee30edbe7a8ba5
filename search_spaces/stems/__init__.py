"""Stems: from the image to the first map.

    conv          a(norm(3x3 convolution at stride 1 or 2))                 CvT, hybrid nets
    turned_conv   the same, of the image turned by 180 degrees              EfficientNet-Lite
    patchify      norm(p x p convolution at stride p)                       ViT
    overlap       norm(7x7 convolution at stride 4, padded by 3)            PVT v2
    wide_patch    the same padded by 2, with or without the norm            PoolFormer, ConvFormer
    large_stride  3x3 convolutions at stride 2 up to a total stride         SHViT

(B, image channels, R, R) -> (B, width, R / stride, R / stride), rounded up.

TensorFlow pads a map whose side is even at its right and bottom alone where a convolution has
stride 2; torch pads all sides, of which the left and the top are then used. So a network published
with TensorFlow's weights is exact here if its kernels and the image are turned by 180 degrees.
Elastic: output channels (leading).
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from search_spaces.family import STEMS, Family, Options, choice
from search_spaces.layers import channels_last, is_batch, make_activation, make_norm, pad_to


@dataclass(frozen=True)
class StemOptions(Options):
    """Options that every stem has; `stride` is the image's side over the map's."""

    stride: int = choice(2, 1, unit="px", meaning="stem stride")


@dataclass(frozen=True)
class ConvStemOptions(StemOptions):
    """Stride of the convolution, activation after the norm."""

    stride: int = choice(2, 1, unit="px", meaning="stem stride")
    activation: str = choice("none", "gelu", "relu", "relu6", "silu")


@dataclass(frozen=True)
class PatchifyOptions(StemOptions):
    """Side of a patch."""

    stride: int = choice(16, 8, 4, 2, default=4, unit="px", meaning="stem stride")


@dataclass(frozen=True)
class OverlapOptions(StemOptions):
    """Nothing to choose: the stride is 4."""

    stride: int = choice(4, unit="px", meaning="stem stride")


@dataclass(frozen=True)
class WidePatchOptions(StemOptions):
    """The stride is 4; whether a norm follows."""

    stride: int = choice(4, unit="px", meaning="stem stride")
    normed: bool = choice(False, True)


@dataclass(frozen=True)
class LargeStrideOptions(StemOptions):
    """Total stride of the chain."""

    stride: int = choice(16, 8, 4, default=8, unit="px", meaning="stem stride")


class ConvStem(nn.Module):
    """One 3x3 convolution, a norm and an activation."""

    def __init__(self, in_dim: int, dim: int, options: ConvStemOptions, norm: str) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_dim, dim, 3, options.stride, 1, bias=not is_batch(norm))
        self.norm = make_norm(norm, dim)
        self.activation = make_activation(options.activation)

    def forward(self, x: Tensor) -> Tensor:
        """(B, I, R, R) -> (B, C, R / stride, R / stride)."""
        y: Tensor = self.activation(self.norm(channels_last(self.conv(x))))
        return y


class TurnedConvStem(ConvStem):
    """A convolution of the image turned by 180 degrees, a norm and an activation."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, I, R, R) -> (B, C, R / stride, R / stride)."""
        return super().forward(x.flip((2, 3)))


class Overlap(nn.Module):
    """Overlapping patches, each projected to a vector."""

    def __init__(self, in_dim: int, dim: int, options: OverlapOptions, norm: str) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_dim, dim, 7, options.stride, 3)
        self.norm = make_norm(norm, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, I, R, R) -> (B, C, R / 4, R / 4)."""
        y: Tensor = self.norm(channels_last(self.conv(x)))
        return y


class Patchify(nn.Module):
    """Patches that do not overlap, each projected to a vector; an image is padded to fit."""

    def __init__(self, in_dim: int, dim: int, options: PatchifyOptions, norm: str) -> None:
        super().__init__()
        self.side = options.stride
        self.conv = nn.Conv2d(in_dim, dim, options.stride, options.stride)
        self.norm = make_norm(norm, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, I, R, R) -> (B, C, R / stride, R / stride)."""
        y: Tensor = self.norm(channels_last(self.conv(pad_to(x, self.side))))
        return y


class WidePatch(nn.Module):
    """Patches of 7 x 7 at stride 4, each projected to a vector; an image is padded to fit."""

    def __init__(self, in_dim: int, dim: int, options: WidePatchOptions, norm: str) -> None:
        super().__init__()
        self.stride = options.stride
        self.conv = nn.Conv2d(in_dim, dim, 7, options.stride, 2)
        self.norm = make_norm(norm, dim) if options.normed else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, I, R, R) -> (B, C, R / 4, R / 4)."""
        y: Tensor = self.norm(channels_last(self.conv(pad_to(x, self.stride))))
        return y


class LargeStride(nn.Module):
    """Overlapping convolutions that halve the side and double the width each."""

    def __init__(self, in_dim: int, dim: int, options: LargeStrideOptions, norm: str) -> None:
        super().__init__()
        steps = options.stride.bit_length() - 1
        widths = [in_dim] + [max(1, dim >> i) for i in reversed(range(steps))]
        self.convs = nn.ModuleList(
            nn.Conv2d(a, b, 3, 2, 1, bias=not is_batch(norm))
            for a, b in zip(widths, widths[1:], strict=False)
        )
        self.norms = nn.ModuleList(make_norm(norm, b) for b in widths[1:])
        self.activation = nn.GELU()

    def forward(self, x: Tensor) -> Tensor:
        """(B, I, R, R) -> (B, C, R / stride, R / stride)."""
        last = len(self.convs) - 1
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            x = norm(channels_last(conv(x)))
            x = x if i == last else self.activation(x)
        return x


def _axes(options: StemOptions) -> dict[str, tuple[str, ...]]:
    return {"conv": ("out",), "norm": ("out",)}


STEMS.register(
    Family(
        "conv",
        ConvStemOptions,
        ConvStem,
        paper="https://arxiv.org/abs/2103.15808",
        nested=(),
        axes=_axes,
    )
)
STEMS.register(
    Family(
        "turned_conv",
        ConvStemOptions,
        TurnedConvStem,
        paper="https://arxiv.org/abs/1905.11946",
        nested=(),
        axes=_axes,
    )
)
STEMS.register(
    Family(
        "overlap",
        OverlapOptions,
        Overlap,
        paper="https://arxiv.org/abs/2106.13797",
        nested=(),
        axes=_axes,
    )
)
STEMS.register(
    Family(
        "wide_patch",
        WidePatchOptions,
        WidePatch,
        paper="https://arxiv.org/abs/2111.11418",
        nested=(),
        axes=_axes,
    )
)
STEMS.register(
    Family(
        "patchify", PatchifyOptions, Patchify, paper="https://arxiv.org/abs/2010.11929", nested=()
    )
)
STEMS.register(
    Family(
        "large_stride",
        LargeStrideOptions,
        LargeStride,
        paper="https://arxiv.org/abs/2401.16456",
        nested=(),
    )
)
