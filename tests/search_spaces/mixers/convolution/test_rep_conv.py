"""Branches that become one convolution: equal to timm's, and to what they are deployed as."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import nas.timm_library  # noqa: F401  (makes timm importable beside any torchvision)
from nas.export.description import DataDescription
from nas.export.export import export_network
from nas.export.load import load_exported
from nas.latency.cost import cost_of
from search_spaces.data_shape import DataShape
from search_spaces.definition import read_definition
from search_spaces.deployment import deployed, settled
from search_spaces.family import MIXERS
from search_spaces.mixers.convolution.rep_conv import Branches, RepConv, RepConvOptions
from search_spaces.network import Network, build_network
from search_spaces.parts import parts_of
from search_spaces.space import SearchSpace
from supernet import Supernet
from supernet.ordering import sort_channels

# isort: split
from timm.models.fastvit import MobileOneBlock, RepMixer
from timm.models.repvit import ConvNorm, RepVggDw

SPACE = """
schema: 1
name: branches
resolution: 8
stem: [conv: {stride: 1}]
stages:
- {width: [8, 12], depth: [1, 2],
   mixers: [rep_conv: {design: [repvgg, repvit, repmixer, mobileone], kernel: [3, 5]}, pool]}
- {width: [12, 16], depth: [1, 2], stride: 2, layout: bare,
   mixers: [rep_conv: {design: [repvgg, repvit], squeeze_excite: [false, true]}],
   channel_mixers: [none, mlp]}
"""
TRAINED = ("repvgg", "mobileone", "repmixer", "repvit")
SHAPES = ((20, 20, 1), (20, 32, 1), (20, 20, 2), (20, 32, 2))
"""Channels before and after, stride."""


def random(module: nn.Module) -> nn.Module:
    """The module with random weights and statistics, in eval mode."""
    for name, tensor in module.state_dict().items():
        if name.endswith("running_var"):
            nn.init.uniform_(tensor, 0.5, 2.0)
        elif tensor.is_floating_point():
            nn.init.normal_(tensor, std=0.5)
    return module.eval()


def loaded(own: nn.Module, theirs: nn.Module, names: dict[str, str]) -> nn.Module:
    """`own` with the weights of timm's module, whose layers are called otherwise."""
    state = {}
    for name, tensor in own.double().state_dict().items():
        layer, _, kind = name.rpartition(".")
        state[name] = theirs.state_dict()[f"{names[layer]}.{kind}"].reshape(tensor.shape)
    own.load_state_dict(state)
    return own.eval()


def summed(design: str, kernels: int) -> dict[str, str]:
    """The names of timm's MobileOneBlock for those of a design that adds up its branches."""
    names = {f"branches.large.{i}": f"conv_kxk.{i}" for i in range(kernels)}
    names["branches.point"] = "conv_scale"
    found = {f"{own}.conv": f"{other}.conv" for own, other in names.items()}
    found |= {f"{own}.norm": f"{other}.bn" for own, other in names.items()}
    return found | {"branches.identity": "identity"}


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize(("design", "kernels"), [("repvgg", 1), ("mobileone", 4)])
def test_branches_equal_mobileones(design: str, kernels: int, kernel: int) -> None:
    torch.manual_seed(0)
    theirs = MobileOneBlock(20, 20, kernel, group_size=1, use_act=False, num_conv_branches=kernels)
    random(theirs.double())
    own = loaded(RepConv(20, RepConvOptions(design, kernel)), theirs, summed(design, kernels))
    x = torch.randn(2, 20, 7, 6, dtype=torch.float64)
    torch.testing.assert_close(own(x), theirs(x), rtol=0, atol=1e-10)
    theirs.reparameterize()
    torch.testing.assert_close(own.settled()(x), theirs(x), rtol=0, atol=1e-10)


def test_strided_branches_equal_mobileones_before_they_are_widened() -> None:
    torch.manual_seed(0)
    theirs = MobileOneBlock(20, 20, 3, stride=2, group_size=1, use_act=False)
    random(theirs.double())
    names = {k.removeprefix("branches."): v for k, v in summed("repvgg", 1).items()}
    own = loaded(Branches(20, "repvgg", 3, stride=2, keeps=False), theirs, names)
    x = torch.randn(2, 20, 7, 6, dtype=torch.float64)
    torch.testing.assert_close(own(x), theirs(x), rtol=0, atol=1e-10)


@pytest.mark.parametrize("kernel", [3, 7])
def test_repmixer_equals_fastvits(kernel: int) -> None:
    torch.manual_seed(0)
    theirs = random(RepMixer(20, kernel).double())
    names = {k: f"mixer.{v}" for k, v in summed("repmixer", 1).items()}
    names["branches.taken"] = "norm.identity"
    own = RepConv(20, RepConvOptions("repmixer", kernel))
    theirs.layer_scale.weight = nn.Parameter(theirs.layer_scale.gamma.flatten())
    own = loaded(own, theirs, names | {"branches.scale": "layer_scale"})
    x = torch.randn(2, 20, 7, 6, dtype=torch.float64)
    torch.testing.assert_close(own(x), theirs(x), rtol=0, atol=1e-10)
    theirs.reparameterize()
    torch.testing.assert_close(own.settled()(x), theirs(x), rtol=0, atol=1e-10)


def test_repvit_equals_timms() -> None:
    torch.manual_seed(0)
    theirs = random(RepVggDw(20, 3).double())
    large = {"branches.large.0.conv": "conv.c", "branches.large.0.norm": "conv.bn"}
    names = large | {"branches.plain_point": "conv1", "branches.last_norm": "bn"}
    own = loaded(RepConv(20, RepConvOptions("repvit")), theirs, names)
    x = torch.randn(2, 20, 7, 6, dtype=torch.float64)
    torch.testing.assert_close(own(x), theirs(x), rtol=0, atol=1e-10)
    expected = theirs.fuse().double()(x)  # timm folds in single precision
    torch.testing.assert_close(own.settled()(x), expected, rtol=1e-5, atol=1e-5)


def written_out(module: RepConv, x: Tensor) -> Tensor:
    """The equation of each design, kernel entry by kernel entry, with the norms as formulas."""
    state, (dim, out_dim, stride) = module.state_dict(), module.shape
    keeps = (dim, stride) == (out_dim, 1)

    def norm(y: Tensor, name: str) -> Tensor:
        w, b, m, v = (
            state[f"{name}.{kind}"][:, None, None]
            for kind in ("weight", "bias", "running_mean", "running_var")
        )
        return w * (y - m) / (v + 1e-5).sqrt() + b

    def filtered(name: str) -> Tensor:
        kernel = state[f"{name}.weight"]
        side, y = kernel.shape[3], torch.zeros_like(x)
        padded = F.pad(x, [side // 2] * 4)
        for i in range(side):
            for j in range(side):
                part = padded[:, :, i : i + x.shape[2], j : j + x.shape[3]]
                y = y + kernel[:, 0, i, j, None, None] * part
        return y[:, :, ::stride, ::stride]

    design, b = module.options.design, "branches"
    y = torch.zeros_like(x[:, :, ::stride, ::stride])
    for i in range(4 if design == "mobileone" else 1):
        y = y + norm(filtered(f"{b}.large.{i}.conv"), f"{b}.large.{i}.norm")
    if design == "repvit":
        if keeps:
            shift = state[f"{b}.plain_point.bias"][:, None, None]
            y = norm(y + filtered(f"{b}.plain_point") + shift + x, f"{b}.last_norm")
    else:
        y = y + norm(filtered(f"{b}.point.conv"), f"{b}.point.norm")
        y = y + norm(x, f"{b}.identity") if keeps else y
    if design == "repmixer" and keeps:
        y = x + state[f"{b}.scale.weight"][:, None, None] * (y - norm(x, f"{b}.taken"))
    if not keeps:
        y = torch.einsum("oi,bihw->bohw", state["widen_normed.conv.weight"][..., 0, 0], y)
        y = norm(y, "widen_normed.norm")
    if module.options.squeeze_excite:
        squeezed = y.mean((2, 3))
        for name in ("reduce", "expand"):
            weight, bias = state[f"excite.{name}.weight"], state[f"excite.{name}.bias"]
            squeezed = squeezed @ weight[..., 0, 0].T + bias
            squeezed = squeezed.relu() if name == "reduce" else squeezed.sigmoid()
        y = y * squeezed[:, :, None, None]
    return y


@pytest.mark.parametrize("design", TRAINED)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_module_equals_its_equation(design: str, shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    for kernel, excites in ((3, False), (7, True)):
        module = RepConv(shape[0], RepConvOptions(design, kernel, excites), *shape[1:])
        x = torch.randn(2, shape[0], 7, 6, dtype=torch.float64)
        own = random(module.double())(x)
        torch.testing.assert_close(own, written_out(module, x), rtol=0, atol=1e-10)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_trained_module_equals_one_convolution(shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    for options in MIXERS["rep_conv"].every_options():
        module = random(RepConv(shape[0], options, *shape[1:]))
        plain = module.settled().eval()
        assert plain.options == replace(options, design="folded")
        assert plain.branches is None
        assert not any(isinstance(m, nn.BatchNorm2d) for m in plain.modules())
        x = torch.randn(2, shape[0], 7, 6)
        error = (plain(x) - module(x)).abs().max() / module(x).abs().max()
        assert error < 1e-5
        x = x.double()
        torch.testing.assert_close(
            module.double().settled().eval()(x), module(x), rtol=0, atol=1e-10
        )


def test_repvits_stride_is_its_separable_convolution() -> None:
    torch.manual_seed(0)
    spatial = random(ConvNorm(20, 20, 3, 2, 1, groups=20))
    channels = random(ConvNorm(20, 32))
    theirs = nn.ModuleDict({"spatial": spatial, "channels": channels}).double()
    names = {"branches.large.0.conv": "spatial.c", "branches.large.0.norm": "spatial.bn"}
    names |= {"widen_normed.conv": "channels.c", "widen_normed.norm": "channels.bn"}
    own = loaded(RepConv(20, RepConvOptions("repvit"), 32, 2), theirs, names)
    x = torch.randn(2, 20, 7, 6, dtype=torch.float64)
    torch.testing.assert_close(own(x), channels(spatial(x)), rtol=0, atol=1e-10)


def the_space() -> SearchSpace:
    return SearchSpace(read_definition(SPACE, "test"))


def networks(number: int) -> list[Network]:
    space = the_space()
    codes = space.sample(number, np.random.default_rng(0))
    return [random(build_network(space.decode(code), DataShape(3, 5))) for code in codes]


def designs(network: Network) -> set[str]:
    return {m.options.design for m in network.modules() if isinstance(m, RepConv)}


def test_a_settled_network_has_one_convolution_per_mixer_and_equal_scores() -> None:
    seen: set[str] = set()
    for network in networks(12):
        seen |= designs(network)
        plain = settled(network.double())
        assert plain.architecture == deployed(network.architecture)
        assert designs(plain) == {"folded"}
        assert not any(isinstance(m, nn.BatchNorm2d) for m in plain.modules())
        x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
        torch.testing.assert_close(plain(x), network(x), rtol=1e-9, atol=1e-9)
    assert seen == set(TRAINED)


def test_costs_and_timed_parts_are_those_of_the_deployed_network() -> None:
    for network in networks(4):
        plain = build_network(deployed(network.architecture), DataShape(3, 5))
        cost = cost_of(network.architecture, DataShape(3, 5))
        assert cost.params == sum(p.numel() for p in plain.parameters())
        assert cost == cost_of(plain.architecture, DataShape(3, 5))
        for name, part in parts_of(network.architecture, DataShape(3, 5)).items():
            timed = part.deployed().build().state_dict().keys()
            assert timed == plain.get_submodule(name).state_dict().keys()


def test_an_export_holds_the_folded_network(tmp_path: Path) -> None:
    network = networks(1)[0]
    data = DataDescription("shapes", tuple("abcde"), 3, (0.5,) * 3, (0.2,) * 3, 255.0)
    export_network(network, tmp_path / "net", data=data, scores={}, formats=("timm", "pt2"))
    exported = load_exported(tmp_path / "net")
    assert designs(exported) == {"folded"}
    x = torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(exported(x), network(x), rtol=1e-4, atol=1e-4)


def test_a_child_that_strides_or_keeps_its_shape_equals_its_copy() -> None:
    space = the_space()
    supernet = Supernet(space, DataShape(3, 5), seed=1).double()
    x = torch.randn(4, 3, 8, 8, dtype=torch.float64)
    for code in space.sample(8, np.random.default_rng(2)):
        child = space.decode(code)
        statistics = supernet.calibrate(child, [x])
        with torch.no_grad():
            alone = supernet.extract(child, statistics)
            torch.testing.assert_close(supernet(x, child, statistics), alone(x))


def test_putting_channels_in_order_changes_no_score() -> None:
    for network in networks(6):
        x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
        before = network.double()(x)
        sort_channels(network)
        torch.testing.assert_close(network(x), before)
