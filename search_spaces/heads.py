"""Heads: from the last map to one score per class.

    linear  W mean(norm(x))                                  MetaFormer nets
    conv    W mean(a(norm(1x1 convolution of x)))            mobile nets

(B, C, H, W) -> (B, classes). Elastic: input channels (leading).
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from search_spaces.family import HEADS, Family, Options, choice
from search_spaces.layers import is_batch, make_activation, make_norm


@dataclass(frozen=True)
class LinearHeadOptions(Options):
    """Nothing to choose."""


@dataclass(frozen=True)
class ConvHeadOptions(Options):
    """Channels before the classifier, activation after the norm."""

    width: int = choice(320, 640, 1280, default=1280, unit="channels")
    activation: str = choice("relu", "relu6", "silu")


class LinearHead(nn.Module):
    """Norm, mean over positions, linear classifier."""

    def __init__(self, dim: int, classes: int, options: LinearHeadOptions, norm: str) -> None:
        super().__init__()
        self.norm = make_norm(norm, dim)
        self.classifier = nn.Linear(dim, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, classes)."""
        y: Tensor = self.classifier(self.features(x).mean((2, 3)))
        return y

    def features(self, x: Tensor) -> Tensor:
        """The map that is averaged, (B, C, H, W)."""
        y: Tensor = self.norm(x)
        return y


class ConvHead(nn.Module):
    """A widening 1x1 convolution before the mean."""

    def __init__(self, dim: int, classes: int, options: ConvHeadOptions, norm: str) -> None:
        super().__init__()
        self.conv = nn.Conv2d(dim, options.width, 1, bias=not is_batch(norm))
        self.norm = make_norm(norm, options.width)
        self.activation = make_activation(options.activation)
        self.classifier = nn.Linear(options.width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, classes)."""
        y: Tensor = self.classifier(self.features(x).mean((2, 3)))
        return y

    def features(self, x: Tensor) -> Tensor:
        """The map that is averaged, (B, width, H, W)."""
        y: Tensor = self.activation(self.norm(self.conv(x)))
        return y


HEADS.register(
    Family(
        "linear",
        LinearHeadOptions,
        LinearHead,
        paper="https://arxiv.org/abs/2111.11418",
        nested=(),
        axes=lambda options: {"norm": ("in",), "classifier": ("classes", "in")},
    )
)
HEADS.register(
    Family(
        "conv",
        ConvHeadOptions,
        ConvHead,
        paper="https://arxiv.org/abs/1801.04381",
        nested=(),
        axes=lambda options: {
            "conv": ("hidden", "in"),
            "norm": ("hidden",),
            "classifier": ("classes", "hidden"),
        },
    )
)
