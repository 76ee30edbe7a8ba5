"""Layouts, recursion and positions: what a network of them computes, from the parts alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from nas.latency.cost import CostTable, cost_of
from search_spaces.architecture import Architecture
from search_spaces.data_shape import DataShape
from search_spaces.definition import read_definition
from search_spaces.errors import SpaceError
from search_spaces.family import POSITIONS
from search_spaces.layouts import LAYOUTS, steps_of
from search_spaces.network import Network, build_network
from search_spaces.parts import parts_of, side_by_side
from search_spaces.space import SearchSpace
from supernet import Supernet

SHAPE = DataShape(3, 7)


def space_of(layout: str, recursion: str = "1", position: str = "none") -> SearchSpace:
    text = f"""
schema: 1
name: laid-out
resolution: [7, 10]
stem: [conv: {{stride: 1}}]
position: [{position}]
stages:
- width: [20, 32]
  depth: [1, 2, 3]
  layout: [{layout}]
  recursion: [{recursion}]
  mixers: [depthwise: {{kernel: [3, 5]}}, attention]
  channel_mixers: [none, mlp: {{ratio: [1, 2]}}]
- {{width: [24], depth: [1, 2], stride: 2, downsampling: [conv], mixers: [pool],
   layout: [{layout}], recursion: [{recursion}], channel_mixers: [glu]}}
"""
    return SearchSpace(read_definition(text, "test"))


SPACES = {
    **{name: space_of(name) for name in LAYOUTS.names() if not LAYOUTS[name].strides},
    "all": space_of("metaformer, sandwich, parallel, paired", "1, 2, 3", "none, size_conditioned"),
    "repeated pairs": space_of("paired", "2"),
}
every_space = pytest.mark.parametrize("name", SPACES)


def largest(space: SearchSpace) -> tuple[Architecture, Network]:
    architecture = space.decode(space.largest())
    network = build_network(architecture, SHAPE).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return architecture, network


def branch(network: Network, name: str, x: Tensor) -> Tensor:
    """What a branch adds to the map that it reads."""
    part = network.get_submodule(f"stages.0.blocks.{name}")
    return part.body(part.norm(x)) * part.scale[:, None, None]


def expected(network: Network, layout: str, x: Tensor) -> Tensor:
    """The first stage of depth 3, written out."""

    def f(name: str, x: Tensor) -> Tensor:
        return branch(network, name, x)

    if layout == "paired":
        x = x + f("0.mixer", x) + f("1.mixer", x)
        x = x + f("0.channel_mixer", x) + f("1.channel_mixer", x)
        x = x + f("2.mixer", x)
        return x + f("2.channel_mixer", x)
    for block in range(3):
        if layout == "parallel":
            x = x + f(f"{block}.mixer", x) + f(f"{block}.channel_mixer", x)
            continue
        if layout == "sandwich":
            x = x + f(f"{block}.channel_mixer_before", x)
        x = x + f(f"{block}.mixer", x)
        x = x + f(f"{block}.channel_mixer", x)
    return x


@pytest.mark.parametrize("layout", [n for n in LAYOUTS.names() if not LAYOUTS[n].strides])
def test_a_stage_equals_the_formula_of_its_layout(layout: str) -> None:
    _, network = largest(SPACES[layout])
    x = torch.randn(2, 3, 10, 10)
    maps = dict(network.maps(x, network.part_names))
    first = [name for name in maps if name.startswith("stages.0.")][-1]
    wanted = expected(network, layout, maps["stem"])
    torch.testing.assert_close(maps[first], wanted, rtol=1e-4, atol=1e-4)


def test_a_block_of_recursion_three_runs_three_times_with_projections_between() -> None:
    space = space_of("metaformer", "3")
    architecture, network = largest(space)
    assert len(architecture.stages[0].blocks) == 3
    maps = dict(network.maps(torch.randn(2, 3, 10, 10), network.part_names))
    x = maps["stem"]
    for block in range(3):
        for run in range(3):
            if run:
                x = x + branch(network, f"{block}.again.{run}.projection", x)
            x = x + branch(network, f"{block}.mixer", x)
            x = x + branch(network, f"{block}.channel_mixer", x)
    torch.testing.assert_close(
        maps["stages.0.blocks.2.again.2.channel_mixer"], x, rtol=1e-4, atol=1e-4
    )


@every_space
def test_codes_decode_encode_and_give_their_parts(name: str) -> None:
    space = SPACES[name]
    codes = space.sample(60, np.random.default_rng(0))
    assert space.contains(codes).all()
    assert len({space.decode(code).id for code in codes}) == len(np.unique(codes, axis=0))
    index = space.part_index(SHAPE)
    for code in codes:
        architecture = space.decode(code)
        assert (space.encode(architecture) == code).all()
        assert Architecture.from_yaml(architecture.to_yaml()) == architecture
        found = {}
        for slot in index.slots:
            part = index.parts[slot.index[tuple(code[list(slot.genes)])]]
            if part is not None:
                found[slot.name] = part
        assert found == parts_of(architecture, SHAPE)


@every_space
def test_a_child_equals_its_extracted_copy_and_uses_every_weight_of_it(name: str) -> None:
    space = SPACES[name]
    supernet = Supernet(space, SHAPE, seed=1)
    for code in space.sample(12, np.random.default_rng(1)):
        child = space.decode(code)
        x = torch.randn(2, 3, child.resolution, child.resolution)
        network = supernet.extract(child)
        with torch.no_grad():
            assert torch.equal(supernet(x, child), network(x))
        network(x).square().sum().backward()
        assert all(p.grad is not None for p in network.parameters())
        supernet.load_child(network)
        with torch.no_grad():
            assert torch.equal(supernet(x, child), network(x))


@every_space
def test_costs_count_each_run_and_each_weight_once(name: str) -> None:
    space = SPACES[name]
    codes = space.sample(10, np.random.default_rng(2))
    table = CostTable(space, SHAPE)
    for code, macs, params in zip(codes, table.macs(codes), table.params(codes), strict=True):
        architecture = space.decode(code)
        cost = cost_of(architecture, SHAPE)
        network = build_network(architecture, SHAPE)
        assert (cost.macs, cost.params) == (macs, params)
        assert cost.params == sum(p.numel() for p in network.parameters())


def test_a_recursion_doubles_what_a_block_costs_but_not_its_weights() -> None:
    once, twice = (SPACES["all"].definition, SPACES["repeated pairs"].definition)
    assert max(once.stages[0].recursion) == 3
    assert twice.stages[0].recursion == [2]
    one, two = (largest(space_of("metaformer", n))[0] for n in ("1", "2"))
    parts = parts_of(two, SHAPE)
    projections = {name: part for name, part in parts.items() if "projection" in name}
    assert len(projections) == 5
    rest = {name for name in parts if "projection" not in name and ".again." in name}
    assert len(rest) == len([name for name in parts_of(one, SHAPE) if ".blocks." in name])
    extra = sum(p.numel() for part in projections.values() for p in part.build().parameters())
    assert cost_of(two, SHAPE).params - cost_of(one, SHAPE).params == extra


def test_layouts_of_one_stage_share_their_weights() -> None:
    space = SPACES["all"]
    supernet = Supernet(space, SHAPE, seed=1)
    code = space.largest()  # the second stage stays as it is
    gene = next(i for i, each in enumerate(space.genes) if each.name == "stages.0.layout")
    used = []
    for choice in range(space.genes[gene].cardinality):
        code[gene] = choice
        used.append(set(supernet.weights_of(space.decode(code))))
    meta, sandwich, parallel, paired = used
    assert meta == parallel
    assert paired == {name for name in meta if "0.blocks.1.again" not in name}
    assert meta < sandwich
    assert all("channel_mixer_before" in name for name in sandwich - meta)


def test_only_parallel_and_paired_parts_stand_side_by_side() -> None:
    for name in ("metaformer", "sandwich"):
        assert side_by_side(largest(SPACES[name])[0]) == frozenset()
    assert len(side_by_side(largest(SPACES["parallel"])[0])) == 5
    assert len(side_by_side(largest(SPACES["paired"])[0])) == 4


def test_a_missing_channel_mixer_leaves_the_step_to_the_other_block() -> None:
    space = SPACES["paired"]
    for code in space.sample(200, np.random.default_rng(3)):
        architecture = space.decode(code)
        kinds = [block.channel_mixer.kind for block in architecture.stages[0].blocks]
        if kinds[:2] == ["none", "mlp"]:
            assert "stages.0.blocks.1.channel_mixer" not in side_by_side(architecture)
            return
    pytest.fail("no such architecture was drawn")


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_every_place_of_a_stage_runs_once(layout: object, depth: int) -> None:
    places = [place for step in steps_of(layout, depth, 2) for place in step]  # type: ignore[arg-type]
    assert len(set(places)) == len(places)
    assert {place.block for place in places} == set(range(depth))
    deeper = [place for step in steps_of(layout, depth + 1, 2) for place in step]  # type: ignore[arg-type]
    assert [place for place in deeper if place.block < depth] == places


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("layout: [metaformer, bare]", "Layout 'bare' cannot be offered together with another"),
        ("layout: [paired, paired]", "names a layout twice"),
        ("layout: pared", "Unknown layout 'pared'. Did you mean 'paired'?"),
        ("recursion: [0]", "Input should be greater than 0"),
        ("recursion: 2, depth: 0", "A 'recursion' of more than 1 needs a depth >= 1"),
    ],
)
def test_mistakes_are_told(change: str, message: str) -> None:
    depth = "" if "depth" in change else "depth: 1, "
    text = (
        "schema: 1\nname: wrong\nresolution: 8\nstem: conv\n"
        f"stages:\n- {{width: 8, {depth}mixers: pool, {change}}}\n"
    )
    with pytest.raises(SpaceError, match=message.replace("?", r"\?").replace("(", r"\(")):
        read_definition(text, "wrong.yaml")


def test_positions_follow_the_map_at_any_size() -> None:
    space = space_of("metaformer", position="size_conditioned")
    architecture, network = largest(space)
    assert list(parts_of(architecture, SHAPE))[:2] == ["stem", "position"]
    body = network.get_submodule("position.body")
    with torch.no_grad():
        body.depthwise.weight.zero_()
        body.depthwise.weight[:, :, 1, 1] = 1.0
        body.depthwise.bias.zero_()
        for height, width in ((10, 10), (7, 13), (1, 2)):
            wave = body(torch.zeros(1, 32, height, width))[0]
            for i in range(height):
                for j in range(width):
                    for k in range(8):
                        rate = 10_000 ** (4 * k / 32)
                        row = 2 * np.pi * (i + 1) / height / rate
                        column = 2 * np.pi * (j + 1) / width / rate
                        seen = wave[[2 * k, 2 * k + 1, 16 + 2 * k, 17 + 2 * k], i, j]
                        formula = [np.sin(row), np.cos(row), np.sin(column), np.cos(column)]
                        np.testing.assert_allclose(seen, formula, atol=1e-5)


def test_positions_fit_any_width() -> None:
    family = POSITIONS["size_conditioned"]
    for width in (1, 2, 5, 20, 22):
        y = family.module(width, family.options())(torch.randn(2, width, 5, 6))
        assert y.shape == (2, width, 5, 6)
