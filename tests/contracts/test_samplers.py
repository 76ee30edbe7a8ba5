"""What every sampler keeps: registered ones, and toys of kinds that are to come."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import supernet.sampling
from search_spaces.space import SearchSpace
from supernet.method import Method, NoOptions, Setup
from supernet.sampling import SAMPLERS, Child, LearningSampler, Moment
from supernet.supervision import SUPERVISIONS


@dataclasses.dataclass
class Growing:
    """A curriculum: children at random, from cheap ones to all of them."""

    setup: Setup

    def children(self, moment: Moment, rng: np.random.Generator) -> list[Child]:
        space = self.setup.supernet.space
        codes = space.sample(8, rng)
        share = (moment.step + 1) / moment.steps
        cheapest = np.argsort(self.setup.macs(codes), kind="stable")
        drawn = cheapest[int(rng.integers(math.ceil(share * len(codes))))]
        return [Child(space.decode(codes[drawn]))]


class Worst:
    """Performance-aware: half of the time the child that did worst so far comes again."""

    def __init__(self, setup: Setup) -> None:
        self.space, self.worst, self.loss = setup.supernet.space, None, -math.inf
        self.told = 0

    def children(self, moment: Moment, rng: np.random.Generator) -> list[Child]:
        if self.worst is not None and moment.step % 2:
            return [Child(self.space.decode(np.array(self.worst)))]
        return [Child(self.space.decode(code)) for code in self.space.sample(2, rng)]

    def tell(self, children: Sequence[Child], losses: Sequence[float]) -> None:
        self.told += len(children)
        for child, loss in zip(children, losses, strict=True):
            if loss > self.loss:
                self.worst, self.loss = self.space.encode(child.architecture).tolist(), loss

    def state(self) -> Mapping[str, Any]:
        return {"worst": self.worst, "loss": self.loss, "told": self.told}

    def load(self, state: Mapping[str, Any]) -> None:
        self.worst, self.loss, self.told = state["worst"], state["loss"], state["told"]


@dataclasses.dataclass
class Parts:
    """Several children in one pass, each on its part of the batch."""

    space: SearchSpace

    def children(self, moment: Moment, rng: np.random.Generator) -> list[Child]:
        codes = self.space.sample(3, rng)
        return [Child(self.space.decode(c), i / 3, (i + 1) / 3) for i, c in enumerate(codes)]


TOYS = [
    Method("growing", NoOptions, lambda setup, _: Growing(setup)),
    Method("worst", NoOptions, lambda setup, _: Worst(setup)),
    Method("parts", NoOptions, lambda setup, _: Parts(setup.supernet.space)),
]
every_sampler = pytest.mark.parametrize("method", [*SAMPLERS, *TOYS], ids=lambda m: m.name)
LABELS = SUPERVISIONS["labels"]


def test_every_file_of_the_package_registers_the_sampler_of_its_name() -> None:
    files = [file.stem for at in supernet.sampling.__path__ for file in Path(at).glob("[!_]*.py")]
    assert sorted(files) == sorted(name.replace("-", "_") for name in SAMPLERS.names())


@every_sampler
def test_options_are_frozen_and_have_defaults(method: Method) -> None:
    options = method.options()
    for field in dataclasses.fields(method.options):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(options, field.name, None)


@every_sampler
def test_children_are_of_the_space_and_see_some_images(method: Method, setup: Setup) -> None:
    sampler, space = method.make(setup, method.options()), setup.supernet.space
    for step in range(20):
        children = sampler.children(Moment(step, 20), np.random.default_rng((0, step)))
        assert children
        codes = np.stack([space.encode(child.architecture) for child in children])
        assert space.contains(codes).all()
        assert all(0 <= child.begin < child.end <= 1 for child in children)


@every_sampler
def test_equal_generators_give_equal_children(method: Method, setup: Setup) -> None:
    runs = []
    for _ in range(2):
        torch.seed()
        sampler = method.make(setup, method.options())
        draws = [
            sampler.children(Moment(step, 5), np.random.default_rng((4, step)))
            for step in range(5)
        ]
        runs.append(draws)
    assert runs[0] == runs[1]


@every_sampler
def test_a_killed_training_continues_to_the_same_weights(
    method: Method, train_toy: Callable[..., Any]
) -> None:
    assert train_toy(method, LABELS).same(train_toy(method, LABELS, kill_at=3))


@every_sampler
def test_what_was_learnt_survives_its_state(method: Method, setup: Setup) -> None:
    sampler = method.make(setup, method.options())
    if not isinstance(sampler, LearningSampler):
        return
    for step in range(4):
        children = sampler.children(Moment(step, 9), np.random.default_rng(step))
        sampler.tell(children, [0.5 + step] * len(children))
    other = method.make(setup, method.options())
    assert isinstance(other, LearningSampler)
    other.load(sampler.state())
    for step in range(4, 9):
        draws = [
            s.children(Moment(step, 9), np.random.default_rng(step)) for s in (sampler, other)
        ]
        assert draws[0] == draws[1]


def test_a_sandwich_is_largest_smallest_and_random(setup: Setup) -> None:
    method, space = SAMPLERS["sandwich"], setup.supernet.space
    sampler = method.make(setup, method.options(random_children=3))
    mixers = set()
    for step in range(30):
        children = sampler.children(Moment(step, 30), np.random.default_rng(step))
        largest, smallest, *rest = (child.architecture for child in children)
        assert (largest.resolution, smallest.resolution) == (8, 6)
        assert [stage.width for stage in largest.stages] == [12]
        assert len(largest.stages[0].blocks) == 2
        assert smallest.stages[0].blocks[0].channel_mixer.kind == "none"
        assert len(rest) == 3
        mixers.add(largest.stages[0].blocks[0].mixer.kind)
    assert mixers == {"depthwise", "attention"}
    assert space.contains(np.stack([space.encode(child) for child in rest])).all()


def test_uniform_reaches_every_choice(setup: Setup) -> None:
    method, space = SAMPLERS["uniform"], setup.supernet.space
    sampler = method.make(setup, method.options(children=200))
    children = sampler.children(Moment(0, 1), np.random.default_rng(0))
    codes = np.stack([space.encode(child.architecture) for child in children])
    for gene, column in zip(space.genes, codes.T, strict=True):
        assert set(column.tolist()) >= set(range(gene.cardinality))


def test_a_child_sees_at_least_one_image(small_space: SearchSpace) -> None:
    child = small_space.decode(small_space.smallest())
    assert Child(child).rows(7) == slice(0, 7)
    thirds = [Child(child, i / 3, (i + 1) / 3).rows(8) for i in range(3)]
    assert [len(range(8)[rows]) for rows in thirds] == [3, 2, 3]
    assert Child(child, 0.99, 1.0).rows(4) == slice(3, 4)
    assert Child(child, 0.0, 0.01).rows(4) == slice(0, 1)
