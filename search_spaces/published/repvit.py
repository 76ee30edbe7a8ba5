"""RepViT: depthwise convolutions that are trained as branches, and MLPs with batch norms.

    two 3x3 convolutions -> stages of (y = mixer(x), y + mlp(y)) -> mean -> two classifiers

Before each stage but the first, a block of the old width, a depthwise convolution of stride 2, one
that widens, and an MLP. Here that block ends the stage before, and the others begin the new one.
Every other block has squeeze-excite.
Paper: RepViT, Wang et al. 2023, https://arxiv.org/abs/2307.09283 (Section 3)
"""

from __future__ import annotations

from collections.abc import Iterator

from search_spaces.architecture import Architecture, Block, Choice, Stage
from search_spaces.channel_mixers import RatioOptions
from search_spaces.heads import LinearHeadOptions
from search_spaces.mixers.convolution.rep_conv import RepConvOptions
from search_spaces.published import PUBLISHED, Naming, Published
from search_spaces.stems import LargeStrideOptions

_KEEPS = (
    ("branches.large.0.conv", "conv.c"),
    ("branches.large.0.norm", "conv.bn"),
    ("branches.plain_point", "conv1"),
    ("branches.last_norm", "bn"),
)
_STRIDES = (
    ("branches.large.0.conv", "spatial_downsample.c"),
    ("branches.large.0.norm", "spatial_downsample.bn"),
    ("widen_normed.conv", "channel_downsample.c"),
    ("widen_normed.norm", "channel_downsample.bn"),
)
_MLP = (
    ("expand", "conv1.c"),
    ("expand_norm", "conv1.bn"),
    ("project", "conv2.c"),
    ("project_norm", "conv2.bn"),
)


def _architecture(
    resolution: int, widths: tuple[int, ...], depths: tuple[int, ...]
) -> Architecture:
    return Architecture(
        resolution=resolution,
        norm="batch",
        stem=Choice("large_stride", LargeStrideOptions(stride=4)),
        stem_width=widths[0],
        stages=tuple(
            _stage(i, width, depth)
            for i, (width, depth) in enumerate(zip(widths, depths, strict=True))
        ),
        head=Choice("distilled", LinearHeadOptions()),
    )


def _stage(number: int, width: int, depth: int) -> Stage:
    """Its own blocks, after the one that strides and before the one of the next stage."""
    excites = [i % 2 == 0 for i in range(depth)]
    excites = [False, *excites] if number else excites
    excites = [*excites, False] if number < 3 else excites
    blocks = (
        Block(
            Choice("rep_conv", RepConvOptions("repvit", 3, each)),
            Choice("batch_mlp", RatioOptions(2.0)),
        )
        for each in excites
    )
    return Stage(width, 2 if number else 1, "bare", None, tuple(blocks), branch="unnormed")


def _naming(architecture: Architecture) -> Naming:
    """Layers of timm's `repvit.py`."""
    for i in range(2):
        yield f"stem.body.convs.{i}", f"stem.conv{i + 1}.c"
        yield f"stem.body.norms.{i}", f"stem.conv{i + 1}.bn"
    for i, stage in enumerate(architecture.stages):
        for j in range(len(stage.blocks)):
            yield from _block(f"stages.{i}.blocks.{j}", *_place(i, j, len(stage.blocks)))
    for own, other in (("norm", "head.bn"), ("classifier", "head.l")):
        yield f"head.body.{own}", f"head.{other}"
    for own, other in (("second_norm", "head_dist.bn"), ("second", "head_dist.l")):
        yield f"head.body.{own}", f"head.{other}"


def _place(stage: int, block: int, blocks: int) -> tuple[str, bool]:
    """Where timm has a block, and whether it strides."""
    if stage and not block:
        return f"stages.{stage}.downsample", True
    if stage < 3 and block == blocks - 1:
        return f"stages.{stage + 1}.downsample.pre_block", False
    return f"stages.{stage}.blocks.{block - (1 if stage else 0)}", False


def _block(ours: str, theirs: str, strides: bool) -> Iterator[tuple[str, str]]:
    for own, other in _STRIDES if strides else _KEEPS:
        yield f"{ours}.mixer.body.{own}", f"{theirs}.{'' if strides else 'token_mixer.'}{other}"
    for own, other in (("reduce", "fc1"), ("expand", "fc2")):
        yield f"{ours}.mixer.body.excite.{own}", f"{theirs}.se.{other}"
    for own, other in _MLP:
        mlp = "ffn" if strides else "channel_mixer"
        yield f"{ours}.channel_mixer.body.{own}", f"{theirs}.{mlp}.{other}"


for _name, _width, _depths in (
    ("repvit_m0_9", 48, (2, 2, 14, 2)),
    ("repvit_m1_0", 56, (2, 2, 14, 2)),
    ("repvit_m1_1", 64, (2, 2, 12, 2)),
):
    PUBLISHED.register(
        Published(
            _name,
            lambda side, width=_width, depths=_depths: _architecture(  # type: ignore[misc]
                side, (width, 2 * width, 4 * width, 8 * width), depths
            ),
            _naming,
            resolution=224,
            paper="https://arxiv.org/abs/2307.09283",
        )
    )
