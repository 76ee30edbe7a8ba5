"""Ramps: what each block gets, codes in both directions, parts of whole populations."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nas.latency.cost import CostTable, cost_of
from nas.space_evolution.plain import plain_of, to_yaml
from search_spaces.architecture import Architecture
from search_spaces.data_shape import DataShape
from search_spaces.definition import read_definition
from search_spaces.errors import SpaceError
from search_spaces.network import build_network
from search_spaces.parts import parts_of
from search_spaces.ramps import Ramp
from search_spaces.space import SearchSpace
from supernet import Supernet

SPACE = """
schema: 1
name: ramped
resolution: 8
stem: [conv: {stride: 1}]
stages:
- width: [16, 20]
  depth: [2, 3, 4]
  layout: [metaformer, parallel]
  ramps:
    mixers.kernel: [[3, 7], [7, 3], [5, 5]]
    channel_mixers.ratio: [[1, 4], [2, 2], [4, 1], [1, 2]]
  mixers: [depthwise, mbconv: {expand: [1, 2]}]
  channel_mixers: [mlp, glu]
- {width: 24, depth: [2, 5], stride: 2, downsampling: conv, mixers: [inception, attention],
   ramps: {mixers.head_dim: [[16, 16], [16, 32]]}}
"""
SHAPE = DataShape(3, 5)


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return SearchSpace(read_definition(SPACE, "test"))


@pytest.mark.parametrize(
    ("ramp", "depth", "expected"),
    [
        (Ramp(3, 7), 2, [3, 7]),
        (Ramp(3, 7), 3, [3, 5, 7]),
        (Ramp(3, 7), 4, [3, 5, 5, 7]),
        (Ramp(7, 3), 5, [7, 5, 5, 3, 3]),
        (Ramp(5, 5), 3, [5, 5, 5]),
    ],
)
def test_a_ramp_gives_each_block_the_nearest_value(
    ramp: Ramp, depth: int, expected: list[int]
) -> None:
    assert [ramp.value(block, depth, (3, 5, 7, 9, 11)) for block in range(depth)] == expected


def test_every_block_of_a_stage_lies_on_its_ramp(space: SearchSpace) -> None:
    seen = set()
    for code in space.sample(200, np.random.default_rng(0)):
        first, second = space.decode(code).stages
        kernels = [block.mixer.options.kernel for block in first.blocks]
        ratios = [block.channel_mixer.options.ratio for block in first.blocks]
        seen.add((kernels[0], kernels[-1]))
        assert kernels in (sorted(kernels), sorted(kernels, reverse=True))
        assert ratios in (sorted(ratios), sorted(ratios, reverse=True))
        heads = [block.mixer.options.head_dim for block in second.blocks]
        assert heads == sorted(heads)
        if len(first.blocks) == 3 and (ratios[0], ratios[-1]) == (1.0, 4.0):
            assert ratios[1] in (2.0, 3.0)  # 2.5 lies between: the less expensive one
            assert ratios[1] == 2.0
    assert seen == {(3, 7), (7, 3), (5, 5)}


def test_codes_and_architectures_are_one_to_one(space: SearchSpace) -> None:
    codes = np.unique(space.sample(400, np.random.default_rng(1)), axis=0)
    assert len({space.decode(code).id for code in codes}) == len(codes)
    for code in codes:
        architecture = space.decode(code)
        assert (space.encode(architecture) == code).all()
        assert Architecture.from_yaml(architecture.to_yaml()) == architecture
    mutants = space.mutate(codes, np.random.default_rng(2))
    assert space.contains(mutants).all()
    assert (mutants != codes).any(axis=1).all()
    features = space.features(codes)
    assert len(np.unique(features, axis=0)) == len(codes)
    assert features.min() >= 0.0
    assert features.max() <= 1.0


def test_the_size_counts_each_ramp_once(space: SearchSpace) -> None:
    first = 2 * 2 * 3 * 4 * sum((3 * 2) ** depth for depth in (2, 3, 4))  # 3 mixers, 2 channel
    second = 2 * sum(2**depth for depth in (2, 5))
    assert space.size() == first * second


def test_an_architecture_off_its_ramp_is_not_in_the_space(space: SearchSpace) -> None:
    code = space.largest()
    text = space.decode(code).to_yaml()
    assert text.count("kernel: 5") > 0
    with pytest.raises(SpaceError, match="is not in 'ramped'"):
        space.encode(Architecture.from_yaml(text.replace("kernel: 5", "kernel: 9", 1)))


def test_the_index_gives_the_parts_and_costs_of_every_architecture(space: SearchSpace) -> None:
    index = space.part_index(SHAPE)
    codes = space.sample(60, np.random.default_rng(3))
    table = CostTable(space, SHAPE)
    for code, macs in zip(codes, table.macs(codes), strict=True):
        architecture, found = space.decode(code), {}
        for slot in index.slots:
            part = index.parts[slot.index[tuple(code[list(slot.genes)])]]
            if part is not None:
                found[slot.name] = part
        assert found == parts_of(architecture, SHAPE)
        assert macs == cost_of(architecture, SHAPE).macs


def test_a_child_equals_its_copy(space: SearchSpace) -> None:
    supernet, x = Supernet(space, SHAPE, seed=1), torch.randn(2, 3, 8, 8)
    for code in space.sample(10, np.random.default_rng(4)):
        child = space.decode(code)
        with torch.no_grad():
            assert torch.equal(supernet(x, child), supernet.extract(child)(x))
    assert build_network(child, SHAPE).architecture == child


def test_a_ramped_space_is_written_as_it_was_read(space: SearchSpace) -> None:
    again = SearchSpace(read_definition(to_yaml(plain_of(space.definition)), "again"))
    assert again.fingerprint == space.fingerprint


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("mixers.kernel: [[3, 7]", "mixers.kernel: [[3, 4]", "has 4, but 'depthwise.kernel' can"),
        ("mixers.kernel: [[3, 7]", "mixers.kernel: [[7, 3]", "has a pair twice"),
        ("mixers.kernel", "mixers.size", "'depthwise' has no such option that is a number"),
        ("mixers.kernel", "kernel", "names no option of a list; write mixers.OPTION or"),
        ("depth: [2, 3, 4]", "depth: [1, 3, 4]", "needs at least two blocks; give depths >= 2"),
        ("[depthwise,", "[depthwise: {kernel: 7},", "decides this option; leave it out of depthw"),
        ("[mlp, glu]", "[none, mlp, glu]", "'none' has no such option"),
    ],
)
def test_mistakes_are_told(old: str, new: str, message: str) -> None:
    assert old in SPACE
    with pytest.raises(SpaceError) as caught:
        read_definition(SPACE.replace(old, new, 1), "ramped.yaml")
    assert message in str(caught.value)
