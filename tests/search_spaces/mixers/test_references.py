"""Mixers give what published code gives with the same weights, in double precision."""

from __future__ import annotations

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import nas.timm_library  # noqa: F401  (makes timm importable beside any torchvision)
from search_spaces.layers import LayerNorm2d
from search_spaces.mixers.attention.attention import Attention, AttentionOptions
from search_spaces.mixers.attention.spatial_reduction import (
    SpatialReductionAttention,
    SpatialReductionOptions,
)
from search_spaces.mixers.attention.window import WindowAttention, WindowOptions
from search_spaces.mixers.convolution.depthwise import Depthwise, DepthwiseOptions
from search_spaces.mixers.convolution.inception_depthwise import (
    InceptionDepthwise,
    InceptionDepthwiseOptions,
)
from search_spaces.mixers.convolution.mbconv import MBConv, MBConvOptions
from search_spaces.mixers.linear.channel import ChannelAttention, ChannelOptions
from search_spaces.mixers.linear.linear import LinearAttention, LinearOptions
from search_spaces.mixers.pooling.pool import Pool, PoolOptions
from search_spaces.mixers.spectral.spectral_gate import SpectralGate, SpectralGateOptions

# isort: split
from timm.layers import LayerNorm2d as TimmLayerNorm2d
from timm.layers.attention import Attention as TimmAttention
from timm.models._efficientnet_blocks import InvertedResidual
from timm.models._efficientnet_blocks import SqueezeExcite as TimmSqueezeExcite
from timm.models.convnext import ConvNeXtBlock
from timm.models.davit import ChannelAttentionV2
from timm.models.inception_next import InceptionDWConv2d
from timm.models.metaformer import Pooling
from timm.models.pvt_v2 import Attention as PvtAttention
from timm.models.swin_transformer import SwinTransformerBlock

same = partial(torch.testing.assert_close, rtol=0, atol=1e-12)


def random(module: nn.Module) -> nn.Module:
    """The module in double precision with random weights and statistics, in eval mode."""
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)
    for name, buffer in module.named_buffers():
        if name.endswith("running_mean"):
            nn.init.normal_(buffer)
        if name.endswith("running_var"):
            nn.init.uniform_(buffer, 0.5, 2.0)
    return module.double().eval()


def copy(own: nn.Module, **weights: Tensor) -> None:
    """Load all weights of `own`; `layer__weight` stands for `layer.weight`."""
    own.load_state_dict({key.replace("__", "."): value for key, value in weights.items()})
    own.double().eval()


def linear(layer: nn.Linear, own: str, rows: slice = slice(None)) -> dict[str, Tensor]:
    return {f"{own}__{name}": tensor[rows] for name, tensor in layer.named_parameters()}


def fused(qkv: nn.Linear) -> dict[str, Tensor]:
    n = qkv.out_features // 3
    parts = {"q": slice(0, n), "k": slice(n, 2 * n), "v": slice(2 * n, None)}
    return {k: v for own, rows in parts.items() for k, v in linear(qkv, own, rows).items()}


def images(width: int, *size: int) -> Tensor:
    return torch.randn(2, width, *size, dtype=torch.float64)


def as_tokens(x: Tensor) -> Tensor:
    return x.flatten(2).transpose(1, 2)


def as_maps(t: Tensor, x: Tensor) -> Tensor:
    return t.transpose(1, 2).reshape(t.shape[0], -1, *x.shape[2:])


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("width", [20, 32, 48])
def test_attention_equals_timms(width: int, bias: bool) -> None:
    heads = max(1, width // 16)
    theirs = random(TimmAttention(width, heads, qkv_bias=bias, proj_bias=bias, attn_head_dim=16))
    own = Attention(width, AttentionOptions(16, bias))
    copy(own, **fused(theirs.qkv), **linear(theirs.proj, "project"))
    x = images(width, 5, 6)
    same(own(x), as_maps(theirs(as_tokens(x)), x))


@pytest.mark.parametrize("width", [20, 48])
def test_attention_with_an_extra_head_equals_timms_with_that_many(width: int) -> None:
    heads = max(1, width // 16) + 1
    theirs = random(TimmAttention(width, heads, qkv_bias=True, attn_head_dim=16))
    own = Attention(width, AttentionOptions(16, extra_heads=1))
    copy(own, **fused(theirs.qkv), **linear(theirs.proj, "project"))
    x = images(width, 5, 6)
    same(own(x), as_maps(theirs(as_tokens(x)), x))


@pytest.mark.parametrize("size", [4, 7])
@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize("windows", [1, 2, 3])
@pytest.mark.parametrize("width", [20, 32, 48])
def test_window_attention_equals_swins(width: int, windows: int, shifted: bool, size: int) -> None:
    side, heads = windows * size, max(1, width // 16)
    theirs = random(
        SwinTransformerBlock(
            width, (side, side), heads, 16, window_size=size, shift_size=shifted * (size // 2)
        )
    )
    attention = theirs.attn
    table = attention.relative_position_bias_table.T.reshape(heads, 2 * size - 1, 2 * size - 1)
    own = WindowAttention(width, WindowOptions(size, shifted, 16))
    copy(own, bias=table, **fused(attention.qkv), **linear(attention.proj, "project"))
    x = images(width, side, side)
    same(own(x), theirs._attn(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))


def test_windows_that_do_not_tile_a_map_are_those_of_the_map_padded_with_zeros() -> None:
    own = random(WindowAttention(20, WindowOptions(4, False, 16)))
    x = images(20, 5, 6)
    same(own(x), own(F.pad(x, (0, 2, 0, 3)))[:, :, :5, :6])


def test_a_window_larger_than_the_map_is_attention_with_the_tables_centre_as_bias() -> None:
    own = random(WindowAttention(32, WindowOptions(7, True, 16)))
    x = images(32, 3, 3)
    q, k, v = (layer(as_tokens(x)).reshape(2, 9, 2, 16) for layer in (own.q, own.k, own.v))
    scores = torch.einsum("bnhd,bmhd->bhnm", q, k) / 4
    for i in range(9):
        for j in range(9):
            row, column = i // 3 - j // 3, i % 3 - j % 3
            scores[:, :, i, j] += own.bias[:, 6 + row, 6 + column]
    y = torch.einsum("bhnm,bmhd->bnhd", scores.softmax(-1), v).reshape(2, 9, 32)
    same(own(x), as_maps(own.project(y), x))


@pytest.mark.parametrize("size", [3, 5, 7])
def test_pool_equals_poolformers(size: int) -> None:
    x = images(20, 6, 7)
    same(Pool(20, PoolOptions(size))(x), Pooling(size)(x))


def test_depthwise_equals_convnexts() -> None:
    theirs = random(ConvNeXtBlock(20))
    own = Depthwise(20, DepthwiseOptions(7))
    copy(own, conv__weight=theirs.conv_dw.weight, conv__bias=theirs.conv_dw.bias)
    x = images(20, 6, 5)
    same(own(x), theirs.conv_dw(x))


@pytest.mark.parametrize("kernel", [3, 5, 9, 11])
def test_depthwise_filters_each_channel_with_its_own_kernel(kernel: int) -> None:
    own = random(Depthwise(3, DepthwiseOptions(kernel)))
    x = images(3, 6, 5)
    for c in range(3):
        channel, weight = slice(c, c + 1), own.conv.weight[c : c + 1]
        y = F.conv2d(x[:, channel], weight, own.conv.bias[channel], padding=kernel // 2)
        same(own(x)[:, channel], y)


@pytest.mark.parametrize("width", [20, 32, 48])
@pytest.mark.parametrize(("square", "band"), [(3, 11), (5, 7)])
def test_inception_depthwise_equals_inceptionnexts(width: int, square: int, band: int) -> None:
    theirs = random(InceptionDWConv2d(width, square, band))
    own = InceptionDepthwise(width, InceptionDepthwiseOptions(square, band))
    branches = {"square": theirs.dwconv_hw, "row": theirs.dwconv_w, "column": theirs.dwconv_h}
    copy(own, **{k: v for name, conv in branches.items() for k, v in linear(conv, name).items()})
    x = images(width, 6, 7)
    same(own(x), theirs(x))


@pytest.mark.parametrize("width", [32, 48])  # timm rounds hidden channels to multiples of 8
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("excite", [False, True])
@pytest.mark.parametrize(("kernel", "expand", "activation"), [(3, 3, "relu"), (5, 6, "gelu")])
def test_mbconv_equals_timms(
    width: int, stride: int, excite: bool, kernel: int, expand: int, activation: str
) -> None:
    squeeze = partial(
        TimmSqueezeExcite, rd_channels=max(4, width * expand // 16), force_act_layer=nn.ReLU
    )
    theirs = random(
        InvertedResidual(
            width,
            48,
            kernel,
            stride,
            noskip=True,
            exp_ratio=expand,
            act_layer={"relu": nn.ReLU, "gelu": nn.GELU}[activation],
            se_layer=squeeze if excite else None,
        )
    )
    own = MBConv(width, MBConvOptions(kernel, expand, excite, "batch", activation), 48, stride)
    names = {
        "conv_pwl": "project",
        "conv_pw": "expand",
        "conv_dw": "depthwise",
        "bn": "norm",
        "se.conv_": "excite.",
    }
    weights = {}
    for key, value in theirs.state_dict().items():
        old = next(name for name in names if key.startswith(name))
        weights[key.replace(old, names[old], 1)] = value
    copy(own, **weights)
    x = images(width, 7, 8)
    same(own(x), theirs(x))


@pytest.mark.parametrize("width", [32, 48])
@pytest.mark.parametrize("ratio", [1, 2, 4])
def test_spatial_reduction_equals_pvts(width: int, ratio: int) -> None:
    theirs = random(PvtAttention(width, width // 16, ratio))
    own = SpatialReductionAttention(width, SpatialReductionOptions(ratio, 16))
    weights = linear(theirs.q, "q") | linear(theirs.proj, "project")
    weights |= linear(theirs.kv, "k", slice(0, width)) | linear(theirs.kv, "v", slice(width, None))
    if ratio > 1:
        theirs.norm.eps = own.norm.eps
        weights |= linear(theirs.sr, "reduce") | linear(theirs.norm, "norm")
    copy(own, **weights)
    x = images(width, 8, 4)
    same(own(x), as_maps(theirs(as_tokens(x), [8, 4]), x))


def test_spatial_reduction_of_an_odd_map_is_that_of_keys_padded_with_zeros() -> None:
    own = random(SpatialReductionAttention(20, SpatialReductionOptions(4, 16)))
    x = images(20, 5, 6)
    same(own(x), own(F.pad(x, (0, 2, 0, 3)))[:, :, :5, :6])


@pytest.mark.parametrize("width", [32, 48])
def test_channel_attention_equals_davits(width: int) -> None:
    theirs = random(ChannelAttentionV2(width, width // 16, dynamic_scale=True))
    own = ChannelAttention(width, ChannelOptions(16))
    copy(own, **fused(theirs.qkv), **linear(theirs.proj, "project"))
    x = images(width, 5, 6)
    same(own(x), as_maps(theirs(as_tokens(x)), x))


def focused(u: Tensor) -> Tensor:
    """Equation 8 of FLatten, with exponent 3."""
    r = u.relu() + 1e-30
    return r.norm(dim=-1, keepdim=True) * r**3 / (r**3).norm(dim=-1, keepdim=True)


@pytest.mark.parametrize("feature", ["simplified", "focused"])
@pytest.mark.parametrize(("width", "heads"), [(20, 1), (48, 3)])
def test_linear_attention_equals_the_quadratic_formula(
    width: int, heads: int, feature: str
) -> None:
    own = random(LinearAttention(width, LinearOptions(feature, 5, 16)))
    phi = focused if feature == "focused" else torch.relu
    x = images(width, 5, 6)
    q, k, v = (layer(as_tokens(x)).reshape(2, 30, heads, 16) for layer in (own.q, own.k, own.v))
    scores = torch.einsum("bnhd,bmhd->bhnm", phi(q), phi(k))
    weights = scores / scores.sum(-1, keepdim=True)
    y = torch.einsum("bhnm,bmhd->bnhd", weights, v).reshape(2, 30, -1)
    inner = heads * 16
    values = as_maps(v.reshape(2, 30, inner), x)
    restored = F.conv2d(values, own.restore.weight, own.restore.bias, padding=2, groups=inner)
    expected = as_maps(own.project(y + as_tokens(restored)), x)
    # The module adds 1e-6 to the denominator.
    torch.testing.assert_close(own(x), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("size", [(6, 6), (5, 7)])
def test_the_spectral_gate_is_a_circular_convolution_with_a_kernel_of_the_maps_size(
    size: tuple[int, int],
) -> None:
    own = random(SpectralGate(4, SpectralGateOptions()))
    own.gate = nn.Parameter(torch.randn(4, 2, size[0], size[1] // 2 + 1, dtype=torch.float64))
    kernel = torch.fft.irfft2(torch.complex(own.gate[:, 0], own.gate[:, 1]), s=size)
    x = images(4, *size)
    y = torch.zeros_like(x)
    for row in range(size[0]):
        for column in range(size[1]):
            moved = torch.roll(x, (row, column), (2, 3))
            y += kernel[:, row, column][:, None, None] * moved
    same(own(x), y)


def test_the_spectral_gate_equals_gfnets_global_filter() -> None:
    own = random(SpectralGate(20, SpectralGateOptions()))
    x = images(20, 14, 14)
    # https://github.com/raoyongming/GFNet, GlobalFilter.forward, maps last.
    weight = torch.view_as_complex(own.gate.permute(2, 3, 0, 1).contiguous())
    spectrum = torch.fft.rfft2(x.permute(0, 2, 3, 1), dim=(1, 2), norm="ortho") * weight
    y = torch.fft.irfft2(spectrum, s=(14, 14), dim=(1, 2), norm="ortho")
    same(own(x), y.permute(0, 3, 1, 2))


def test_a_constant_spectral_gate_scales_maps_of_any_size() -> None:
    own = SpectralGate(20, SpectralGateOptions()).double()
    nn.init.constant_(own.gate[:, 0], 0.7)
    nn.init.zeros_(own.gate[:, 1])
    for size in ((5, 5), (8, 8), (1, 1), (20, 17)):
        x = images(20, *size)
        same(own(x), 0.7 * x)


def test_the_norm_of_maps_equals_timms() -> None:
    theirs = random(TimmLayerNorm2d(20))
    own = LayerNorm2d(20, theirs.eps)
    copy(own, weight=theirs.weight, bias=theirs.bias)
    x = images(20, 5, 6)
    same(own(x), theirs(x))
