"""Networks are chains of parts, and a space knows every part that its networks are made of."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from search_spaces import (
    Architecture,
    SearchSpace,
    build_network,
    load_space,
    parts_of,
    space_names,
)
from search_spaces.data_shape import DataShape
from search_spaces.definition import read_definition
from search_spaces.layers import drop_path
from search_spaces.network import drop_path_slopes, plant, plant_parameter
from search_spaces.parts import Part

ODD = """
schema: 1
name: odd
resolution: [9, 10, 14]
stem: [conv: {stride: [1, 2]}, patchify: {stride: 4}, large_stride: {stride: 4}]
stem_width: 12
norm: batch
stages:
- width: [16, 20]
  depth: [0, 1, 2]
  stride: 2
  downsampling: [conv, pool, residual]
  mixers: [pool, identity, window: {shifted: true}]
  channel_mixers: [none, mlp]
- width: [24, 36]
  depth: [1, 2]
  stride: 2
  layout: bare
  mixers: [identity, mbconv: {norm: [none, batch]}]
- {width: 20, depth: [0, 2], stride: 3, downsampling: pool, mixers: [attention, spectral_gate]}
head: [linear, conv: {width: 320}]
"""


@pytest.fixture(params=["odd", *space_names()], scope="module")
def space(request: pytest.FixtureRequest) -> SearchSpace:
    if request.param == "odd":
        return SearchSpace(read_definition(ODD, "odd.yaml"))
    return load_space(request.param)


def sampled(space: SearchSpace, n: int) -> list[Architecture]:
    """Architectures of a space; of one for photographs fewer, because they take long to run."""
    photographs = max(space.definition.resolution) > 64
    codes = space.sample(1 if photographs else n, np.random.default_rng(0))
    return [space.decode(code) for code in codes]


def test_a_network_runs_its_parts_on_maps_of_the_sizes_they_name(space: SearchSpace) -> None:
    for architecture in sampled(space, 6):
        parts = parts_of(architecture, DataShape(3, 7))
        network = build_network(architecture, DataShape(3, 7)).eval()
        seen = []
        for name in (name for name, part in parts.items() if not part.again):
            network.get_submodule(name).register_forward_hook(
                lambda _, args, y, seen=seen: seen.append((args[0].shape, y.shape))
            )
        side = architecture.resolution
        assert network(torch.randn(2, 3, side, side)).shape == (2, 7)
        for part, (shape_in, shape_out) in zip(parts.values(), seen, strict=True):
            assert shape_in == part.input_shape(2)
            if part.role != "head":
                assert shape_out == (2, part.out_dim, part.out_size, part.out_size)


def test_parts_follow_one_another(space: SearchSpace) -> None:
    for code in space.sample(50, np.random.default_rng(0)):
        architecture = space.decode(code)
        for before, after in pairwise(parts_of(architecture, DataShape(3, 10)).values()):
            assert (before.out_dim, before.out_size) == (after.in_dim, after.size)


def test_the_index_gives_the_parts_of_every_architecture(space: SearchSpace) -> None:
    codes = space.sample(200, np.random.default_rng(1))
    index = space.part_index(DataShape(3, 10))
    assert index.parts[0] is None
    assert len(set(index.parts)) == len(index.parts)
    for code in codes:
        found = {}
        for slot in index.slots:
            part = index.parts[slot.index[tuple(code[list(slot.genes)])]]
            if part is not None:
                found[slot.name] = part
        expected = parts_of(space.decode(code), DataShape(3, 10))
        assert found == expected
        assert list(found) == list(expected)


def test_sums_and_maxima_over_parts_equal_a_loop(space: SearchSpace) -> None:
    codes = space.sample(300, np.random.default_rng(2))
    index = space.part_index(DataShape(3, 10))
    values = np.random.default_rng(3).uniform(size=len(index.parts))
    values[0] = 0.0
    worth = dict(zip(index.parts, values, strict=True))
    own = [[worth[p] for p in parts_of(space.decode(c), DataShape(3, 10)).values()] for c in codes]
    np.testing.assert_allclose(index.sums(codes, values), [sum(row) for row in own])
    np.testing.assert_array_equal(index.maxima(codes, values), [max(row) for row in own])


def test_populations_larger_than_a_chunk_are_summed_whole() -> None:
    space = load_space("macro")
    index = space.part_index()
    values = np.random.default_rng(3).uniform(size=len(index.parts))
    values[0] = 0.0
    codes = space.sample(20_000, np.random.default_rng(2))
    rows = [0, 8191, 8192, 16_384, 19_999]
    np.testing.assert_array_equal(index.sums(codes, values)[rows], index.sums(codes[rows], values))


def test_the_size_of_a_map_does_not_change_a_module(space: SearchSpace) -> None:
    index = space.part_index()
    by_module: dict[Part, set[str]] = {}
    with torch.device("meta"):
        for part in index.parts[1:200:3]:
            by_module.setdefault(part.module_key(), set()).add(str(part.build()))
    assert all(len(modules) == 1 for modules in by_module.values())


def test_equal_seeds_give_equal_networks(space: SearchSpace) -> None:
    for architecture in sampled(space, 2):
        states = []
        for _ in range(2):
            torch.manual_seed(1)
            states.append(build_network(architecture).state_dict())
        assert states[0].keys() == states[1].keys()
        assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_the_gradient_reaches_every_parameter_of_a_network(space: SearchSpace) -> None:
    for architecture in sampled(space, 3):
        network = build_network(architecture)
        side = architecture.resolution
        network(torch.randn(2, 3, side, side)).square().sum().backward()
        assert all(p.grad is not None for p in network.parameters())


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_maps_stay_in_channels_last_memory(channels: int) -> None:
    space = load_space("macro")  # batch norm keeps whatever format it is given
    network = build_network(space.decode(space.largest()), DataShape(channels)).eval()
    strides = []

    def watch(module: nn.Module, args: tuple[Tensor, ...], y: Tensor) -> None:
        if y.ndim == 4:
            strides.append(y.stride(1))

    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.BatchNorm2d)):
            module.register_forward_hook(watch)
    network(torch.randn(2, channels, 32, 32))
    assert len(strides) > 40
    assert set(strides[1:]) == {1}


def test_branches_are_dropped_more_often_the_deeper_they_are() -> None:
    names = ("stem", "stages.0.blocks.0.mixer", "stages.0.blocks.0.channel_mixer")
    names += ("stages.0.downsampling", "stages.1.blocks.0.mixer", "stages.1.blocks.10.mixer")
    assert drop_path_slopes((*names, "head")) == [0.0, 0.0, 0.0, 0.0, 0.5, 1.0, 0.0]


def test_a_network_of_dropped_branches_is_its_trunk() -> None:
    space = load_space("hybrid-tiny")
    architecture = space.decode(space.largest())
    network = build_network(architecture)
    network.rates = [1.0 if ".blocks." in name else 0.0 for name in network.part_names]
    x = torch.randn(2, 3, architecture.resolution, architecture.resolution)
    y = x = x.contiguous(memory_format=torch.channels_last)
    for name in network.part_names:
        if ".blocks." not in name:
            y = network.get_submodule(name)(y)
    torch.testing.assert_close(network(x, drop_path_rate=1 - 1e-9), y, rtol=0, atol=0)


def test_a_dropped_path_keeps_its_mean() -> None:
    x = torch.ones(20_000, 2, 1, 1)
    y = drop_path(x, 0.25)
    assert y.unique().tolist() == pytest.approx([0.0, 1 / 0.75])
    assert torch.equal(y[:, 0], y[:, 1])
    assert abs(y.mean() - 1) < 0.02
    assert drop_path(x, 0.0) is x


def test_modules_and_parameters_are_planted_at_dotted_names() -> None:
    root = nn.Module()
    plant(root, "a.0.b", nn.Linear(2, 3))
    plant_parameter(root, "a.0.c.weight", nn.Parameter(torch.zeros(4)))
    shapes = {name: tuple(p.shape) for name, p in root.named_parameters()}
    assert shapes == {"a.0.b.weight": (3, 2), "a.0.b.bias": (3,), "a.0.c.weight": (4,)}
