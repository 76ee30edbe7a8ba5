"""Heads: from the last map to one score per class.

    linear  W mean(norm(x))                                  MetaFormer nets
    conv    W mean(a(norm(1x1 convolution of x)))            mobile nets
    pooled  W LN(mean(x))                                    ConvNeXt, PoolFormer
    mlp     W LN(a(V mean(x))), or with LN(mean(x))          InceptionNeXt, ConvFormer
    plain   W mean(x)                                        ResNet
    distilled  (W BN(mean(x)) + V BN(mean(x))) / 2           LeViT, RepViT; deployed as plain

The two classifiers of `distilled` are trained together, on their mean; its papers train the second
one on a teacher's answers.

(B, C, H, W) -> (B, classes). Elastic: input channels (leading).
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from search_spaces.family import HEADS, Family, Options, choice
from search_spaces.folding import Kernel
from search_spaces.layers import is_batch, make_activation, make_norm


@dataclass(frozen=True)
class LinearHeadOptions(Options):
    """Nothing to choose."""


@dataclass(frozen=True)
class ConvHeadOptions(Options):
    """Channels before the classifier, activation after the norm."""

    width: int = choice(320, 640, 1280, default=1280, unit="channels")
    activation: str = choice("relu", "relu6", "silu")


@dataclass(frozen=True)
class MLPHeadOptions(Options):
    """Hidden width over width, activation, whether the mean has a norm too."""

    ratio: int = choice(3, 4)
    activation: str = choice("gelu", "squared_relu")
    normed: bool = choice(False, True)


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

    def pooled(self, x: Tensor) -> Tensor:
        """What the classifier sees of the mean, (B, C)."""
        return x


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

    def pooled(self, x: Tensor) -> Tensor:
        """What the classifier sees of the mean, (B, width)."""
        return x


class PooledHead(nn.Module):
    """Mean over positions, layer norm, linear classifier."""

    def __init__(self, dim: int, classes: int, options: LinearHeadOptions, norm: str) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.classifier = nn.Linear(dim, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, classes)."""
        y: Tensor = self.classifier(self.pooled(x.mean((2, 3))))
        return y

    def features(self, x: Tensor) -> Tensor:
        """The map that is averaged, (B, C, H, W)."""
        return x

    def pooled(self, x: Tensor) -> Tensor:
        """What the classifier sees of the mean, (B, C)."""
        y: Tensor = self.norm(x)
        return y


class PlainHead(nn.Module):
    """Mean over positions, linear classifier."""

    def __init__(self, dim: int, classes: int, options: LinearHeadOptions, norm: str) -> None:
        super().__init__()
        self.classifier = nn.Linear(dim, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, classes)."""
        y: Tensor = self.classifier(x.mean((2, 3)))
        return y

    def features(self, x: Tensor) -> Tensor:
        """The map that is averaged, (B, C, H, W)."""
        return x

    def pooled(self, x: Tensor) -> Tensor:
        """What the classifier sees of the mean, (B, C)."""
        return x


class DistilledHead(nn.Module):
    """Mean over positions, the mean of two classifiers with a batch norm each."""

    def __init__(self, dim: int, classes: int, options: LinearHeadOptions, norm: str) -> None:
        super().__init__()
        self.norm, self.second_norm = nn.BatchNorm2d(dim), nn.BatchNorm2d(dim)
        self.classifier, self.second = nn.Linear(dim, classes), nn.Linear(dim, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, classes)."""
        mean = x.mean((2, 3), keepdim=True)
        one = self.classifier(self.norm(mean).flatten(1))
        two = self.second(self.second_norm(mean).flatten(1))
        y: Tensor = (one + two) / 2
        return y

    def settled(self) -> PlainHead:
        """The one classifier that computes the same with the statistics so far."""
        weight = self.classifier.weight
        plain = PlainHead(weight.shape[1], len(weight), LinearHeadOptions(), "")
        plain.to(weight.device, weight.dtype)
        one = Kernel.of(self.classifier).after(self.norm)
        two = Kernel.of(self.second).after(self.second_norm)
        one.plus(two).times(0.5).write(plain.classifier)
        return plain


class MLPHead(nn.Module):
    """Mean over positions, a hidden layer with a layer norm, linear classifier."""

    def __init__(self, dim: int, classes: int, options: MLPHeadOptions, norm: str) -> None:
        super().__init__()
        hidden = dim * options.ratio
        self.norm = nn.LayerNorm(dim, eps=1e-6) if options.normed else nn.Identity()
        self.hidden = nn.Linear(dim, hidden)
        self.activation = make_activation(options.activation)
        self.hidden_norm = nn.LayerNorm(hidden, eps=1e-6)
        self.classifier = nn.Linear(hidden, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, classes)."""
        y: Tensor = self.classifier(self.pooled(x.mean((2, 3))))
        return y

    def features(self, x: Tensor) -> Tensor:
        """The map that is averaged, (B, C, H, W)."""
        return x

    def pooled(self, x: Tensor) -> Tensor:
        """What the classifier sees of the mean, (B, hidden)."""
        y: Tensor = self.hidden_norm(self.activation(self.hidden(self.norm(x))))
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
HEADS.register(
    Family(
        "pooled",
        LinearHeadOptions,
        PooledHead,
        paper="https://arxiv.org/abs/2201.03545",
        nested=(),
        axes=lambda options: {"norm": ("in",), "classifier": ("classes", "in")},
    )
)
HEADS.register(
    Family(
        "plain",
        LinearHeadOptions,
        PlainHead,
        paper="https://arxiv.org/abs/1512.03385",
        nested=(),
        axes=lambda options: {"classifier": ("classes", "in")},
    )
)
HEADS.register(
    Family(
        "distilled",
        LinearHeadOptions,
        DistilledHead,
        paper="https://arxiv.org/abs/2307.09283",
        nested=(),
        axes=lambda options: {
            "norm": ("in",),
            "second_norm": ("in",),
            "classifier": ("classes", "in"),
            "second": ("classes", "in"),
        },
        deployed=lambda options: ("plain", options),
    )
)
HEADS.register(
    Family(
        "mlp",
        MLPHeadOptions,
        MLPHead,
        paper="https://arxiv.org/abs/2210.13452",
        nested=(),
        axes=lambda options: {
            "norm": ("in",),
            "hidden": ("hidden", "in"),
            "hidden_norm": ("hidden",),
            "classifier": ("classes", "hidden"),
        },
    )
)
