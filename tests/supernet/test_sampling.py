"""What tells the samplers apart: which children they draw, and when."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any

import numpy as np
import pytest

from nas.latency.cost import CostTable
from search_spaces.space import load_space
from supernet import Supernet
from supernet.costs import CostScale
from supernet.method import Setup
from supernet.sampling import SAMPLERS, LearningSampler, Moment, Sampler


@pytest.fixture(scope="module")
def setup() -> Setup:
    space = load_space("hybrid-tiny")
    return Setup(Supernet(space), CostTable(space).macs)


@pytest.fixture(scope="module")
def scale(setup: Setup) -> CostScale:
    return CostScale.of(setup)


def sampler(setup: Setup, name: str, **options: Any) -> Sampler:
    method = SAMPLERS[name]
    return method.make(setup, method.options(**options))


def places(scale: CostScale, sampler: Sampler, steps: int) -> list[np.ndarray]:
    """Where the children of each step lie on the scale of costs."""
    found = []
    for step in range(steps):
        children = sampler.children(Moment(step, steps), np.random.default_rng((1, step)))
        codes = [scale.space.encode(child.architecture) for child in children]
        found.append(scale.place(np.stack(codes)))
        if isinstance(sampler, LearningSampler):
            sampler.tell(children, list(np.arange(len(children), dtype=float)))
    return found


def test_the_sandwichs_largest_child_is_of_one_family_as_often_as_asked(setup: Setup) -> None:
    for alike, share in ((0.0, 0.1), (0.5, 0.5), (1.0, 1.0)):
        sandwich, found = sampler(setup, "sandwich", alike=alike), []
        for step in range(100):
            largest, *_ = sandwich.children(Moment(step, 100), np.random.default_rng(step))
            blocks = [block for stage in largest.architecture.stages for block in stage.blocks]
            found.append(len({block.channel_mixer.kind for block in blocks}) == 1)
        assert np.mean(found) == pytest.approx(share, abs=0.12)


def test_children_that_come_down_from_the_largest_are_not_given_the_first_choice(
    setup: Setup,
) -> None:
    """A block beyond a drawn child's depth, where it has no choices, has those of the largest."""
    space, sandwich, found = setup.supernet.space, sampler(setup, "sandwich", descent=1.0), []
    deepest = len(space.definition.stages[1].mixers_of(2))
    for step in range(150):
        children = sandwich.children(Moment(70, 100), np.random.default_rng(step))
        for child in children[2:]:
            blocks = child.architecture.stages[1].blocks
            found += [str(blocks[2].mixer)] if len(blocks) == 3 else []
    assert len(found) > 100
    assert Counter(found)["depthwise(kernel=3)"] < 2 * len(found) / deepest


@pytest.mark.parametrize("name", [method.name for method in SAMPLERS if method.teaches])
def test_a_donor_is_the_first_child_of_every_step(setup: Setup, name: str) -> None:
    space = setup.supernet.space
    donor = space.decode(space.sample(1, np.random.default_rng(5))[0])
    chosen = sampler(dataclasses.replace(setup, donor=donor), name)
    for step in (0, 50, 99):
        first, *_ = chosen.children(Moment(step, 100), np.random.default_rng(step))
        assert first.architecture == donor


def test_a_space_of_one_cost_has_a_scale(setup: Setup) -> None:
    space = setup.supernet.space
    same = CostScale(space, lambda codes: np.ones(len(codes)))
    with np.errstate(all="raise"):
        assert space.contains(same.near(0.5, np.random.default_rng(0))[None]).all()


@pytest.mark.parametrize("place", [0.02, 0.25, 0.5, 0.75, 0.98])
def test_a_code_is_near_the_asked_cost(scale: CostScale, place: float) -> None:
    codes = np.stack([scale.near(place, np.random.default_rng(seed)) for seed in range(20)])
    assert np.abs(scale.place(codes) - place).max() < 0.12
    assert len(np.unique(codes, axis=0)) > 10


def test_fair_deals_every_choice_equally_often(setup: Setup) -> None:
    fair = sampler(setup, "fair", children=3)
    space, seen = setup.supernet.space, []
    for step in range(8):
        children = fair.children(Moment(step, 8), np.random.default_rng(step))
        seen += [space.encode(child.architecture) for child in children]
    codes = np.stack(seen)
    always = np.flatnonzero(space.active(codes).all(axis=0))
    assert len(always) > 3
    for gene in always:
        counts = Counter(codes[:, gene].tolist())
        dealt = [counts[choice] for choice in range(space.genes[gene].cardinality)]
        assert max(dealt) - min(dealt) <= 1


def test_strata_reach_from_the_largest_child_to_the_smallest(
    setup: Setup, scale: CostScale
) -> None:
    for found in places(scale, sampler(setup, "cost-stratified", strata=4), 10):
        assert found[0] > 0.9 and found[1] < 0.1
        assert (np.diff(found[2:]) > -0.1).all() and np.ptp(found[2:]) > 0.4


def test_shrinking_begins_with_the_largest_and_ends_with_all(
    setup: Setup, scale: CostScale
) -> None:
    found = places(scale, sampler(setup, "shrinking", start=0.2, end=0.6), 20)
    assert [len(step) for step in found] == [1] * 5 + [4] * 15
    lowest = [step.min() for step in found]
    assert min(lowest[5:8]) > 0.4
    assert min(lowest[12:]) < 0.3


def test_complexity_aware_moves_slowly_and_reaches_every_level(
    setup: Setup, scale: CostScale
) -> None:
    found = places(scale, sampler(setup, "complexity-aware", levels=5, children=2), 200)
    means = np.array([step.mean() for step in found])
    assert np.abs(np.diff(means)).max() < 2 / 5 + 0.1  # a level, and a place in each
    assert set(np.clip(np.floor(means * 5), 0, 4)) == {0, 1, 2, 3, 4}


def test_performance_aware_repeats_the_best_of_a_level(setup: Setup) -> None:
    """The first child of each step gets the lowest loss, so firsts come again."""
    aware = sampler(setup, "performance-aware", levels=2, children=4, remembered=2, again=1.0)
    assert isinstance(aware, LearningSampler)
    drawn: list[str] = []
    for step in range(12):
        children = aware.children(Moment(step, 12), np.random.default_rng(step))
        drawn += [child.architecture.id for child in children]
        aware.tell(children, [float(i) for i in range(len(children))])
    counts = Counter(drawn)
    assert len(counts) <= 2 * 4  # one new step for each level, then remembered children only
    assert all(len(bank) <= 2 for bank in aware.state()["banks"])


def test_parts_of_a_batch_are_equal_and_do_not_overlap(setup: Setup) -> None:
    children = sampler(setup, "multi-architecture", children=3).children(
        Moment(0, 1), np.random.default_rng(0)
    )
    rows = [child.rows(10) for child in children]
    assert [(part.start, part.stop) for part in rows] == [(0, 3), (3, 7), (7, 10)]
