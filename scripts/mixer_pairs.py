"""Our mixers and their counterparts in timm, for the scripts that compare their speed.

Both do the same on maps of the same shape: ours on channels-last maps, timm's on maps or tokens,
whichever it takes. Widths are multiples of 32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

import nas.timm_library  # noqa: F401  (makes timm importable beside any torchvision)
from search_spaces.family import CHANNEL_MIXERS, MIXERS

# isort: split
from timm.layers import Mlp, SwiGLU
from timm.layers.attention import Attention
from timm.layers.halo_attn import HaloAttn
from timm.models._efficientnet_blocks import InvertedResidual, SqueezeExcite
from timm.models.convit import GPSA
from timm.models.convnext import ConvNeXtBlock
from timm.models.davit import ChannelAttentionV2
from timm.models.efficientvit_msra import LocalWindowAttention
from timm.models.fastvit import MobileOneBlock
from timm.models.inception_next import InceptionDWConv2d, MetaNeXtBlock
from timm.models.metaformer import Pooling, SepConv
from timm.models.pvt_v2 import Attention as PvtAttention
from timm.models.pvt_v2 import MlpWithDepthwiseConv
from timm.models.shvit import SHSA
from timm.models.swiftformer import EfficientAdditiveAttention
from timm.models.swin_transformer import SwinTransformerBlock
from timm.models.twins import GlobalSubSampleAttn
from timm.models.volo import OutlookAttention

WIDTH = 96
HEADS = WIDTH // 32


class Run(NamedTuple):
    """A module, its input, and what else its `forward` takes."""

    module: nn.Module
    x: Tensor
    more: tuple[object, ...] = ()

    def call(self) -> Callable[[], object]:
        """One forward pass."""
        return partial(self.module, self.x, *self.more)


class Pair(NamedTuple):
    """A family of ours and its counterpart."""

    family: str
    conditions: str
    own: Run
    theirs: Run
    why: str = ""
    """What ours does beyond the counterpart, if anything."""


def pairs(batch: int) -> Iterator[Pair]:
    """All pairs, the modules in training mode and on the processor."""
    torch.manual_seed(0)
    yield from _attention(batch)
    yield from _windows(batch)
    yield from _convolutions(batch)
    yield from _channel_mixers(batch)


def _maps(batch: int, side: int) -> Tensor:
    x = torch.randn(batch, WIDTH, side, side)
    return x.contiguous(memory_format=torch.channels_last)


def _tokens(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1).flatten(1, 2)


def _own(family: str, x: Tensor, **options: object) -> Run:
    found = MIXERS[family]
    return Run(found.module(WIDTH, found.options(**options)), x)


def _attention(batch: int) -> Iterator[Pair]:
    small, large = _maps(batch, 14), _maps(batch, 28)
    few, many = _tokens(small), _tokens(large)
    yield Pair(
        "attention", "14x14", _own("attention", small, head_dim=32),
        Run(Attention(WIDTH, HEADS, qkv_bias=True), few),
    )  # fmt: skip
    yield Pair(
        "gated_position", "14x14", _own("gated_position", small, head_dim=32),
        Run(GPSA(WIDTH, HEADS, qkv_bias=True), few),
    )  # fmt: skip
    yield Pair(
        "spatial_reduction", "28x28, ratio 4",
        _own("spatial_reduction", large, ratio=4, head_dim=32),
        Run(PvtAttention(WIDTH, HEADS, 4), many, ([28, 28],)),
    )  # fmt: skip
    yield Pair(
        "global_subsampled", "28x28, ratio 2", _own("global_subsampled", large, ratio=2),
        Run(GlobalSubSampleAttn(WIDTH, HEADS, sr_ratio=2), many, ((28, 28),)),
    )  # fmt: skip
    yield Pair(
        "channel", "28x28", _own("channel", large, head_dim=32),
        Run(ChannelAttentionV2(WIDTH, HEADS, dynamic_scale=True), many),
    )  # fmt: skip
    yield Pair(
        "single_head", "14x14", _own("single_head", small),
        Run(SHSA(WIDTH, 16, round(WIDTH * 0.214)), small),
    )  # fmt: skip
    yield Pair(
        "swift",
        "28x28",
        _own("swift", large),
        Run(EfficientAdditiveAttention(WIDTH, WIDTH), large),
    )
    yield Pair(
        "outlook", "28x28, stride 2", _own("outlook", large, stride=2, head_dim=32),
        Run(OutlookAttention(WIDTH, HEADS, stride=2, qkv_bias=True), large.permute(0, 2, 3, 1)),
    )  # fmt: skip


class _SwinAttention(nn.Module):
    """The attention of a Swin block alone, with its windows and shifts."""

    def __init__(self, shifted: bool) -> None:
        super().__init__()
        self.block = SwinTransformerBlock(
            WIDTH, (28, 28), HEADS, 32, window_size=7, shift_size=3 * shifted
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.block._attn(x)


def _windows(batch: int) -> Iterator[Pair]:
    large = _maps(batch, 28)
    for shifted in (False, True):
        yield Pair(
            "window", f"28x28, windows of 7{', shifted' if shifted else ''}",
            _own("window", large, size=7, shifted=shifted, head_dim=32),
            Run(_SwinAttention(shifted), large.permute(0, 2, 3, 1)),
        )  # fmt: skip
    yield Pair(
        "cascaded_group", "28x28, 4 heads", _own("cascaded_group", large, heads=4, kernel=5),
        Run(LocalWindowAttention(WIDTH, 16, 4, WIDTH / 64, 28, 7, kernels=(5,) * 4), large),
    )  # fmt: skip
    halo = HaloAttn(WIDTH, num_heads=HEADS, dim_head=32, block_size=4, halo_size=1, qkv_bias=True)
    yield Pair(
        "halo", "28x28, blocks of 4, rim 1", _own("halo", large, block=4, halo=1, head_dim=32),
        Run(halo, large), "ours projects the output",
    )  # fmt: skip


def _convolutions(batch: int) -> Iterator[Pair]:
    large = _maps(batch, 28)
    convnext = ConvNeXtBlock(WIDTH, conv_mlp=False, ls_init_value=None)
    yield Pair(
        "depthwise", "28x28, 7x7", _own("depthwise", large, kernel=7), Run(convnext.conv_dw, large)
    )
    yield Pair(
        "metanext", "28x28, ConvNeXt", _own("metanext", large, design="convnext"),
        Run(convnext, large), "timm's adds the shortcut",
    )  # fmt: skip
    yield Pair(
        "metanext", "28x28, InceptionNeXt", _own("metanext", large, design="inception"),
        Run(MetaNeXtBlock(WIDTH), large), "timm's adds the shortcut",
    )  # fmt: skip
    inception = _own("inception_depthwise", large, square=3, band=11)
    yield Pair("inception_depthwise", "28x28", inception, Run(InceptionDWConv2d(WIDTH), large))
    for excite in (False, True):
        squeeze = partial(SqueezeExcite, rd_channels=24, force_act_layer=nn.ReLU)
        residual = InvertedResidual(
            WIDTH, WIDTH, 3, 1, noskip=True, exp_ratio=4, act_layer=nn.GELU,
            se_layer=squeeze if excite else None,
        )  # fmt: skip
        own = _own("mbconv", large, kernel=3, expand=4, squeeze_excite=excite, norm="batch")
        what = f"28x28, 3x3, expand 4{', squeeze-excite' if excite else ''}"
        yield Pair("mbconv", what, own, Run(residual, large))
    sepconv = _own("sepconv", large, kernel=7, expand=2)
    yield Pair("sepconv", "28x28, 7x7, expand 2", sepconv, Run(SepConv(WIDTH, 2), large))
    branches = MobileOneBlock(WIDTH, WIDTH, 3, group_size=1, use_act=False)
    yield Pair("rep_conv", "28x28, 3x3, branches", _own("rep_conv", large), Run(branches, large))
    yield Pair("pool", "28x28, 3x3", _own("pool", large, size=3), Run(Pooling(3), large))


def _channel_mixers(batch: int) -> Iterator[Pair]:
    large = _maps(batch, 28)
    many, hidden = _tokens(large), 4 * WIDTH
    yield Pair("mlp", "28x28, ratio 4", _channel("mlp", large), Run(Mlp(WIDTH, hidden), many))
    depthwise = Run(MlpWithDepthwiseConv(WIDTH, hidden), many, ([28, 28],))
    yield Pair("depthwise_mlp", "28x28, ratio 4", _channel("depthwise_mlp", large), depthwise)
    gated = SwiGLU(WIDTH, hidden * 2 // 3, act_layer=nn.GELU)
    yield Pair("glu", "28x28, ratio 4", _channel("glu", large), Run(gated, many))


def _channel(family: str, x: Tensor) -> Run:
    """A channel mixer of ratio 4; some have the name of a mixer too."""
    found = CHANNEL_MIXERS[family]
    return Run(found.module(WIDTH, found.options(ratio=4.0)), x)
