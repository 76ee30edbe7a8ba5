"""PVT v2: attention to a reduced map, then an MLP with a depthwise convolution.

    overlapping patches -> stages of (spatial-reduction attention -> depthwise MLP) -> mean

Paper: PVT v2, Wang et al. 2021, https://arxiv.org/abs/2106.13797
"""

from __future__ import annotations

from search_spaces.architecture import Architecture, Block, Choice, Stage
from search_spaces.channel_mixers import RatioOptions
from search_spaces.downsampling import DownsamplingOptions
from search_spaces.heads import LinearHeadOptions
from search_spaces.mixers.attention.spatial_reduction import SpatialReductionOptions
from search_spaces.published import PUBLISHED, Naming, Published, State
from search_spaces.stems import OverlapOptions

_REDUCTIONS = (8, 4, 2, 1)
_RATIOS = (8.0, 8.0, 4.0, 4.0)


def _network(
    resolution: int, widths: tuple[int, ...], depths: tuple[int, ...], head_dim: int
) -> Architecture:
    stages = []
    for i, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        attention = SpatialReductionOptions(_REDUCTIONS[i], head_dim)
        block = Block(
            Choice("spatial_reduction", attention),
            Choice("depthwise_mlp", RatioOptions(_RATIOS[i])),
        )
        down = Choice("overlap", DownsamplingOptions()) if i else None
        stages.append(
            Stage(width, 2 if i else 1, "metaformer", down, (block,) * depth, branch="plain")
        )
    return Architecture(
        resolution=resolution,
        norm="layer",
        stem=Choice("overlap", OverlapOptions()),
        stem_width=widths[0],
        stages=tuple(stages),
        head=Choice("linear", LinearHeadOptions()),
    )


def _naming(architecture: Architecture) -> Naming:
    """Layers of timm's `pvt_v2.py`, with keys and values apart (see `_split`)."""
    yield "stem.body.conv", "patch_embed.proj"
    yield "stem.body.norm", "patch_embed.norm"
    for i, stage in enumerate(architecture.stages):
        if i:
            yield f"stages.{i}.downsampling.body.norm", f"stages.{i - 1}.norm"
            yield f"stages.{i}.downsampling.body.conv", f"stages.{i}.downsample.proj"
            yield f"stages.{i}.downsampling.body.last_norm", f"stages.{i}.downsample.norm"
        for j in range(len(stage.blocks)):
            ours, theirs = f"stages.{i}.blocks.{j}", f"stages.{i}.blocks.{j}"
            yield f"{ours}.mixer.norm", f"{theirs}.norm1"
            for own, other in (
                ("q", "q"), ("k", "k"), ("v", "v"), ("project", "proj"),
                ("reduce", "sr"), ("norm", "norm"),
            ):  # fmt: skip
                yield f"{ours}.mixer.body.{own}", f"{theirs}.attn.{other}"
            yield f"{ours}.channel_mixer.norm", f"{theirs}.norm2"
            for own, other in (
                ("expand", "fc1"), ("depthwise", "dwconv"), ("project", "fc2"),
            ):  # fmt: skip
                yield f"{ours}.channel_mixer.body.{own}", f"{theirs}.mlp.{other}"
    yield "head.body.norm", f"stages.{len(architecture.stages) - 1}.norm"
    yield "head.body.classifier", "head"


def _split(state: State) -> State:
    """Keys and values are one layer there and two here."""
    parts = dict(state)
    for name in [name for name in state if ".attn.kv." in name]:
        key, value = parts.pop(name).chunk(2)
        parts[name.replace(".kv.", ".k.")] = key
        parts[name.replace(".kv.", ".v.")] = value
    return parts


_B0 = (32, 64, 160, 256)
_WIDE = (64, 128, 320, 512)
for _name, _widths, _depths, _head_dim in (
    ("pvt_v2_b0", _B0, (2, 2, 2, 2), 32),
    ("pvt_v2_b1", _WIDE, (2, 2, 2, 2), 64),
    ("pvt_v2_b2", _WIDE, (3, 4, 6, 3), 64),
):
    PUBLISHED.register(
        Published(
            _name,
            lambda side, w=_widths, d=_depths, h=_head_dim: _network(side, w, d, h),  # type: ignore[misc]
            _naming,
            resolution=224,
            paper="https://arxiv.org/abs/2106.13797",
            split=_split,
        )
    )
