"""A supernet that starts from a donor."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from search_spaces.data_shape import DataShape
from search_spaces.network import Network, build_network
from search_spaces.published import PUBLISHED
from search_spaces.space import SearchSpace, load_space
from supernet import Supernet
from supernet.donor import QUIET, adopt, new_choices, teach_new_choices
from supernet.ordering import sort_channels

SHAPE = DataShape(3, 7)


def _donor(name: str = "tf_efficientnet_lite0", side: int = 64) -> Network:
    torch.manual_seed(0)
    network = build_network(PUBLISHED[name].architecture(side), SHAPE).eval()
    for tensor in network.state_dict().values():
        if tensor.dtype == torch.float32 and tensor.ndim == 1:
            tensor.copy_(torch.rand_like(tensor) + 0.5)
    return network


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "efficientnet_b0", "pvt_v2_b0"])
@torch.no_grad()
def test_sorting_changes_places_and_no_scores(name: str) -> None:
    network = _donor(name)
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    images = torch.randn(2, 3, 64, 64)
    expected = network(images)
    sort_channels(network)
    torch.testing.assert_close(network(images), expected, rtol=1e-3, atol=1e-4)
    moved = [k for k, t in network.state_dict().items() if not torch.equal(t, before[k])]
    assert len(moved) > 0.9 * len([k for k in before if before[k].ndim])


@torch.no_grad()
def test_hidden_channels_come_in_the_order_of_the_spread_of_the_weights_that_read_them() -> None:
    network = _donor()
    sort_channels(network)
    weight = network.get_parameter("stages.3.blocks.1.mixer.body.project.weight")
    spread = weight.std(dim=(0, 2, 3))
    assert (spread[:-1] >= spread[1:] - 1e-7).all()


def test_heads_of_attention_move_as_a_whole() -> None:
    network = _donor("pvt_v2_b0")
    name = "stages.3.blocks.1.mixer.body.q.bias"
    before = network.get_parameter(name).detach().clone().reshape(8, 32)
    sort_channels(network)
    after = network.get_parameter(name).detach().reshape(8, 32)
    rows = [int((before == row).all(dim=1).nonzero()) for row in after]
    assert sorted(rows) == list(range(8)) and rows != list(range(8))


@pytest.fixture(scope="module")
def hybrid() -> SearchSpace:
    return load_space("photo-hybrid").restrict(64)


@torch.no_grad()
def test_the_donors_child_is_the_donor(hybrid: SearchSpace) -> None:
    donor = _donor()
    supernet = Supernet(hybrid, SHAPE)
    adopt(supernet, donor)
    images = torch.randn(4, 3, 64, 64)
    child = supernet.extract(donor.architecture)
    child.load_state_dict(
        {**child.state_dict(), **{k: v for k, v in donor.state_dict().items() if "running" in k}}
    )
    torch.testing.assert_close(child(images), donor(images))


@torch.no_grad()
def test_a_larger_child_of_the_same_families_computes_what_the_donor_does() -> None:
    space = load_space("photo-mobile").restrict(64)
    small = space.decode(space.smallest())
    donor = build_network(small, SHAPE)
    supernet = Supernet(space, SHAPE)
    adopt(supernet, donor)
    largest = space.largest().copy()
    for i, gene in enumerate(space.genes):  # depth and width as in the donor, all else larger
        if gene.role in ("depth", "width"):
            largest[i] = 0
    child = space.decode(space.canonical(largest[None])[0])
    images = torch.randn(4, 3, 64, 64)
    torch.testing.assert_close(
        supernet(images, child), supernet(images, small), rtol=1e-3, atol=1e-3
    )


def test_new_choices_start_quiet_and_learn_what_the_donors_block_does(hybrid: SearchSpace) -> None:
    donor = _donor()
    supernet = Supernet(hybrid, SHAPE)
    adopt(supernet, donor)
    choices = new_choices(supernet, donor.architecture)
    assert len(choices) == 5 * 3  # blocks that do not stride, families beside MBConv
    scale = supernet.get_parameter("stages.5.blocks.1.mixer.attention.scale")
    assert (scale == QUIET).all()
    before = {name: p.detach().clone() for name, p in supernet.named_parameters()}
    losses = teach_new_choices(
        supernet, donor.architecture, lambda step: torch.randn(8, 3, 64, 64), steps=12
    )
    assert len(losses) == 15
    assert np.mean(list(losses.values())) < 0.99
    new = tuple(f"{choice.slot}.{choice.parts[0].kind}." for choice in choices)
    for name, parameter in supernet.named_parameters():
        if not name.startswith(new):
            assert torch.equal(parameter, before[name]), name


def test_a_space_without_new_choices_has_nothing_to_teach() -> None:
    space = load_space("photo-mobile").restrict(64)
    supernet = Supernet(space, SHAPE)
    donor = PUBLISHED["tf_efficientnet_lite0"].architecture(64)
    assert teach_new_choices(supernet, donor, lambda step: torch.zeros(1)) == {}
    assert isinstance(supernet, nn.Module)
