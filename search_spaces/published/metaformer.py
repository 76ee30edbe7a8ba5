"""PoolFormer, ConvFormer and CAFormer: any mixer of positions in the place of attention.

    wide patches -> stages of (x + s pool(norm(x)), x + s mlp(norm(x))) -> mean      PoolFormer
    wide patches -> stages of (r x + sepconv(norm(x)), r x + mlp(norm(x))) -> mean   ConvFormer

ConvFormer has r in its last two stages, norms and matrices without biases, and a hidden layer
before the classifier. CAFormer is the same with attention in its last two stages.
Papers: PoolFormer, Yu et al. 2021, https://arxiv.org/abs/2111.11418; ConvFormer and CAFormer in
MetaFormer baselines, Yu et al. 2022, https://arxiv.org/abs/2210.13452
"""

from __future__ import annotations

from functools import partial

from search_spaces.architecture import Architecture, Block, Choice, Stage
from search_spaces.channel_mixers import RatioOptions
from search_spaces.downsampling import DownsamplingOptions
from search_spaces.heads import LinearHeadOptions, MLPHeadOptions
from search_spaces.mixers.attention.attention import AttentionOptions
from search_spaces.mixers.convolution.sepconv import SepConvOptions
from search_spaces.mixers.pooling.pool import PoolOptions
from search_spaces.published import PUBLISHED, Naming, Published, State
from search_spaces.stems import WidePatchOptions

_WIDTHS = (64, 128, 320, 512)
_SEPCONV = Choice("sepconv", SepConvOptions(kernel=7, expand=2))
_ATTENTION = Choice("attention", AttentionOptions(head_dim=32, bias=False))
_LAYERS = {
    "pool": (),
    "sepconv": (
        ("expand", "pwconv1"),
        ("activation", "act1"),
        ("depthwise", "dwconv"),
        ("project", "pwconv2"),
    ),
    "attention": (("q", "q"), ("k", "k"), ("v", "v"), ("project", "proj")),
}
"""Layers of each mixer, here and in timm."""


def _poolformer(resolution: int, depths: tuple[int, ...]) -> Architecture:
    block = Block(Choice("pool", PoolOptions(3)), Choice("mlp", RatioOptions(4.0)))
    stages = []
    for i, (width, depth) in enumerate(zip(_WIDTHS, depths, strict=True)):
        down = Choice("unnormed", DownsamplingOptions()) if i else None
        stages.append(Stage(width, 2 if i else 1, "metaformer", down, (block,) * depth))
    return Architecture(
        resolution=resolution,
        norm="group",
        stem=Choice("wide_patch", WidePatchOptions(normed=False)),
        stem_width=_WIDTHS[0],
        stages=tuple(stages),
        head=Choice("pooled", LinearHeadOptions()),
    )


def _convformer(resolution: int, depths: tuple[int, ...], late: Choice = _SEPCONV) -> Architecture:
    """ConvFormer, or CAFormer with another mixer in the last two stages."""
    mlp = Choice("star_mlp", RatioOptions(4.0))
    stages = []
    for i, (width, depth) in enumerate(zip(_WIDTHS, depths, strict=True)):
        down = Choice("conv", DownsamplingOptions()) if i else None
        branch = "weighted" if i > 1 else "plain"
        blocks = (Block(late if i > 1 else _SEPCONV, mlp),) * depth
        stages.append(Stage(width, 2 if i else 1, "metaformer", down, blocks, branch=branch))
    return Architecture(
        resolution=resolution,
        norm="layer-unbiased",
        stem=Choice("wide_patch", WidePatchOptions(normed=True)),
        stem_width=_WIDTHS[0],
        stages=tuple(stages),
        head=Choice("mlp", MLPHeadOptions(4, "squared_relu", normed=True)),
    )


def _naming(architecture: Architecture) -> Naming:
    """Layers of timm's `metaformer.py`, with queries, keys and values apart (see `_split`)."""
    yield from (("stem.body.conv", "stem.conv"), ("stem.body.norm", "stem.norm"))
    for i, stage in enumerate(architecture.stages):
        for layer in ("norm", "conv"):
            yield f"stages.{i}.downsampling.body.{layer}", f"stages.{i}.downsample.{layer}"
        for j, layers in enumerate(_LAYERS[each.mixer.kind] for each in stage.blocks):
            block = f"stages.{i}.blocks.{j}"
            for number, role in ((1, "mixer"), (2, "channel_mixer")):
                yield f"{block}.{role}.norm", f"{block}.norm{number}"
                yield f"{block}.{role}.scale", f"{block}.layer_scale{number}.scale"
                yield f"{block}.{role}.weight", f"{block}.res_scale{number}.scale"
            for own, other in layers:
                yield f"{block}.mixer.body.{own}", f"{block}.token_mixer.{other}"
            for own, other in (("expand", "fc1"), ("activation", "act"), ("project", "fc2")):
                yield f"{block}.channel_mixer.body.{own}", f"{block}.mlp.{other}"
    yield "head.body.norm", "head.norm"
    if architecture.head.kind == "mlp":
        yield "head.body.hidden", "head.fc.fc1"
        yield "head.body.hidden_norm", "head.fc.norm"
        yield "head.body.classifier", "head.fc.fc2"
    else:
        yield "head.body.classifier", "head.fc"


def _split(state: State) -> State:
    """Queries, keys and values are one layer there and three here."""
    parts = dict(state)
    for name in [name for name in state if ".token_mixer.qkv." in name]:
        for own, weight in zip("qkv", parts.pop(name).chunk(3), strict=True):
            parts[name.replace(".qkv.", f".{own}.")] = weight
    return parts


for _name, _make, _depths, _paper in (
    ("poolformer_s12", _poolformer, (2, 2, 6, 2), "2111.11418"),
    ("poolformer_s24", _poolformer, (4, 4, 12, 4), "2111.11418"),
    ("convformer_s18", _convformer, (3, 3, 9, 3), "2210.13452"),
    ("caformer_s18", partial(_convformer, late=_ATTENTION), (3, 3, 9, 3), "2210.13452"),
):
    PUBLISHED.register(
        Published(
            _name,
            lambda side, make=_make, depths=_depths: make(side, depths),  # type: ignore[misc]
            _naming,
            resolution=224,
            paper=f"https://arxiv.org/abs/{_paper}",
            split=_split,
        )
    )
