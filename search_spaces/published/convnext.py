"""ConvNeXt, ConvNeXt V2 and InceptionNeXt: one branch of a depthwise mixer and an MLP.

    patches -> stages of (x + s W_2 gelu(W_1 norm(K * x))) -> mean -> classifier

Papers: ConvNeXt, Liu et al. 2022, https://arxiv.org/abs/2201.03545; ConvNeXt V2, Woo et al. 2023,
https://arxiv.org/abs/2301.00808; InceptionNeXt, Yu et al. 2023, https://arxiv.org/abs/2303.16900
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from search_spaces.architecture import Architecture, Block, Choice, Stage
from search_spaces.channel_mixers import NoneOptions
from search_spaces.downsampling import DownsamplingOptions
from search_spaces.heads import LinearHeadOptions, MLPHeadOptions
from search_spaces.mixers.convolution.metanext import MetaNeXtOptions
from search_spaces.published import PUBLISHED, Naming, Published
from search_spaces.stems import PatchifyOptions


@dataclass(frozen=True)
class MetaNeXts:
    """What tells these networks apart."""

    design: str
    widths: tuple[int, ...]
    depths: tuple[int, ...]

    def architecture(self, resolution: int) -> Architecture:
        """The network at a resolution."""
        inception = self.design == "inception"
        mlp, linear = Choice("mlp", MLPHeadOptions()), Choice("pooled", LinearHeadOptions())
        return Architecture(
            resolution=resolution,
            norm="batch" if inception else "layer",
            stem=Choice("patchify", PatchifyOptions(stride=4)),
            stem_width=self.widths[0],
            stages=tuple(self._stage(i) for i in range(len(self.widths))),
            head=mlp if inception else linear,
        )

    def naming(self, architecture: Architecture) -> Naming:
        """Layers of timm's `convnext.py` and `inception_next.py`."""
        yield "stem.body.conv", "stem.0"
        yield "stem.body.norm", "stem.1"
        for i, stage in enumerate(architecture.stages):
            if i:
                yield f"stages.{i}.downsampling.body.norm", f"stages.{i}.downsample.0"
                yield f"stages.{i}.downsampling.body.conv", f"stages.{i}.downsample.1"
            for j in range(len(stage.blocks)):
                ours, theirs = f"stages.{i}.blocks.{j}.mixer", f"stages.{i}.blocks.{j}"
                yield f"{ours}.scale", f"{theirs}.gamma"
                for own, other in self._block():
                    yield f"{ours}.body.{own}", f"{theirs}.{other}"
        if self.design == "inception":
            yield from (("head.body.hidden", "head.fc1"), ("head.body.hidden_norm", "head.norm"))
            yield "head.body.classifier", "head.fc2"
        else:
            yield from (("head.body.norm", "head.norm"), ("head.body.classifier", "head.fc"))

    def _stage(self, number: int) -> Stage:
        narrow = self.design == "inception" and number == 3
        options = MetaNeXtOptions(self.design, 3 if narrow else 4)
        block = Block(Choice("metanext", options), Choice("none", NoneOptions()))
        branch = "unnormed" if self.design == "convnext_v2" else "unnormed_scaled"
        down = Choice("patch", DownsamplingOptions()) if number else None
        blocks = (block,) * self.depths[number]
        width, stride = self.widths[number], 2 if number else 1
        return Stage(width, stride, "metaformer", down, blocks, branch=branch)

    def _block(self) -> Iterator[tuple[str, str]]:
        yield from (("norm", "norm"), ("expand", "mlp.fc1"), ("project", "mlp.fc2"))
        yield from (("mix", "conv_dw"), ("response", "mlp.grn"))
        for own, other in (("square", "hw"), ("row", "w"), ("column", "h")):
            yield f"mix.{own}", f"token_mixer.dwconv_{other}"


_ATTO, _NANO = (40, 80, 160, 320), (80, 160, 320, 640)
for _name, _network, _paper in (
    ("convnext_atto", MetaNeXts("convnext", _ATTO, (2, 2, 6, 2)), "2201.03545"),
    ("convnext_nano", MetaNeXts("convnext", _NANO, (2, 2, 8, 2)), "2201.03545"),
    ("convnext_tiny", MetaNeXts("convnext", (96, 192, 384, 768), (3, 3, 9, 3)), "2201.03545"),
    ("convnextv2_atto", MetaNeXts("convnext_v2", _ATTO, (2, 2, 6, 2)), "2301.00808"),
    ("convnextv2_nano", MetaNeXts("convnext_v2", _NANO, (2, 2, 8, 2)), "2301.00808"),
    (
        "inception_next_tiny",
        MetaNeXts("inception", (96, 192, 384, 768), (3, 3, 9, 3)),
        "2303.16900",
    ),
):
    PUBLISHED.register(
        Published(
            _name,
            _network.architecture,
            _network.naming,
            resolution=224,
            paper=f"https://arxiv.org/abs/{_paper}",
        )
    )
