"""Channel mixers give what published code gives with the same weights, in double precision."""

from __future__ import annotations

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import nas.timm_library  # noqa: F401  (makes timm importable beside any torchvision)
from search_spaces.family import CHANNEL_MIXERS

# isort: split
from timm.layers import Mlp, SwiGLU
from timm.models.pvt_v2 import MlpWithDepthwiseConv
from timm.models.repvit import RepVitMlp

same = partial(torch.testing.assert_close, rtol=0, atol=1e-12)
widths_and_ratios = pytest.mark.parametrize(("width", "ratio"), [(20, 2.0), (48, 0.5), (32, 3.0)])


def build(kind: str, width: int, ratio: float) -> nn.Module:
    family = CHANNEL_MIXERS[kind]
    module = family.module(width, family.options(ratio=ratio)).double()
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)
    return module


def load(theirs: nn.Module, own: nn.Module, **names: str) -> nn.Module:
    """Give `theirs` the weights of `own`; `names` are their layers' names for ours."""
    theirs.double()
    for ours, name in names.items():
        theirs.get_submodule(name).load_state_dict(own.get_submodule(ours).state_dict())
    assert sum(p.numel() for p in own.parameters()) == sum(p.numel() for p in theirs.parameters())
    return theirs


def images(width: int) -> Tensor:
    return torch.randn(2, width, 5, 6, dtype=torch.float64)


@widths_and_ratios
def test_an_mlp_equals_timms_at_every_position(width: int, ratio: float) -> None:
    own, x = build("mlp", width, ratio), images(width)
    theirs = load(Mlp(width, int(width * ratio)), own, expand="fc1", project="fc2")
    same(own(x), theirs(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))


@widths_and_ratios
def test_a_batch_mlp_equals_repvits_and_the_mlp_that_it_is_deployed_as(
    width: int, ratio: float
) -> None:
    own, x = build("batch_mlp", width, ratio).eval(), images(width)
    for name, buffer in own.named_buffers():
        if buffer.is_floating_point():
            (nn.init.uniform_ if name.endswith("var") else nn.init.normal_)(buffer)
    names = {"expand_norm": "conv1.bn", "project_norm": "conv2.bn"}
    theirs = load(RepVitMlp(width, int(width * ratio), nn.GELU), own, **names).eval()
    for ours, name in (("expand", "conv1.c"), ("project", "conv2.c")):
        weight = own.get_parameter(f"{ours}.weight")[..., None, None]
        theirs.get_submodule(name).load_state_dict({"weight": weight})
    same(own(x), theirs(x))
    plain = own.settled()
    assert type(plain) is CHANNEL_MIXERS["mlp"].module
    same(plain(x), own(x))


@widths_and_ratios
def test_a_depthwise_mlp_equals_pvts(width: int, ratio: float) -> None:
    own, x = build("depthwise_mlp", width, ratio), images(width)
    theirs = MlpWithDepthwiseConv(width, int(width * ratio))
    load(theirs, own, expand="fc1", depthwise="dwconv", project="fc2")
    y = theirs(x.flatten(2).transpose(1, 2), [5, 6])
    same(own(x), y.transpose(1, 2).reshape(x.shape))


@widths_and_ratios
def test_a_glu_equals_timms_with_a_gelu_gate(width: int, ratio: float) -> None:
    own, x = build("glu", width, ratio), images(width)
    theirs = SwiGLU(width, int(width * ratio * 2 / 3), act_layer=nn.GELU)
    load(theirs, own, gate="fc1_g", value="fc1_x", project="fc2")
    same(own(x), theirs(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))


@widths_and_ratios
def test_a_convolutional_glu_equals_transnexts_formula(width: int, ratio: float) -> None:
    own, x = build("conv_glu", width, ratio), images(width)

    def pointwise(layer: nn.Linear, x: Tensor) -> Tensor:
        return F.conv2d(x, layer.weight[:, :, None, None], layer.bias)

    gate = pointwise(own.gate, x)
    weight, bias = own.depthwise.weight, own.depthwise.bias
    gate = F.gelu(F.conv2d(gate, weight, bias, padding=1, groups=gate.shape[1]))
    same(own(x), pointwise(own.project, gate * pointwise(own.value, x)))


@pytest.mark.parametrize("width", [48, 96])
@pytest.mark.parametrize(("gated", "plain"), [("glu", "mlp"), ("conv_glu", "depthwise_mlp")])
def test_gated_kinds_cost_about_as_much_as_plain_ones_of_their_ratio(
    gated: str, plain: str, width: int
) -> None:
    for ratio in CHANNEL_MIXERS["mlp"].choices()["ratio"]:
        sizes = [
            sum(p.numel() for p in build(kind, width, float(ratio)).parameters())
            for kind in (gated, plain)
        ]
        assert abs(sizes[0] / sizes[1] - 1) < 0.06


def test_no_channel_mixer_changes_nothing() -> None:
    family, x = CHANNEL_MIXERS["none"], images(20)
    assert torch.equal(family.module(20, family.options())(x), x)
