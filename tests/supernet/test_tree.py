"""Children that are evaluated together have exactly the scores that each has on its own."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from search_spaces import load_space
from search_spaces.architecture import Architecture
from search_spaces.data_shape import DataShape
from search_spaces.definition import read_definition
from search_spaces.parts import Part, parts_of
from search_spaces.space import SearchSpace
from supernet import Supernet
from supernet.calibration import calibrate
from supernet.evaluation import evaluate
from supernet.scores import Evaluation
from supernet.tree import ChildrenTree, evaluate_children

RUNS = """
schema: 1
name: runs
norm: batch
resolution: 8
stem: [conv: {stride: 1}]
stages:
- width: 8
  depth: [1, 2]
  layout: [metaformer, paired]
  recursion: [1, 2]
  mixers: [mbconv: {norm: batch}]
  channel_mixers: [mlp: {ratio: [1, 2]}]
- width: 12
  depth: 1
  downsampling: pool
  layout: [parallel, sandwich]
  mixers: [depthwise]
  channel_mixers: [mlp: {ratio: 1}]
"""


def batches(side: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Two batches of images with labels."""
    generator = torch.Generator().manual_seed(side)
    for count in (6, 5):
        images = torch.randn(count, 3, side, side, generator=generator)
        yield images, torch.arange(count) % 4


def calibration(side: int) -> Iterator[Tensor]:
    """Two batches of images."""
    for images, _ in batches(side + 100):
        yield images[..., :side, :side]


def alone(supernet: Supernet, child: Architecture) -> Evaluation:
    """The scores of a child that is extracted, calibrated and run on its own."""
    network = supernet.extract(child)
    calibrate(network, calibration(child.resolution))
    return evaluate(network, batches(child.resolution))


def population(space: SearchSpace, count: int = 12) -> list[Architecture]:
    """Random children, some of them twice, and the extremes."""
    codes = space.sample(count, np.random.default_rng(0))
    both = (space.smallest(), space.largest())
    return [space.decode(code) for code in (*codes, *codes[:2], *both)]


def check(space: SearchSpace, children: list[Architecture]) -> None:
    """Together as alone."""
    supernet = Supernet(space, DataShape(3, 4), seed=1)
    found = evaluate_children(supernet, children, batches, calibration)
    assert found == [alone(supernet, child) for child in children]


def test_children_without_batch_norm(space: SearchSpace) -> None:
    check(space, population(space))


def test_children_with_batch_norm(batch_norm_space: SearchSpace) -> None:
    check(batch_norm_space, population(batch_norm_space))


def test_blocks_that_run_twice_or_stand_side_by_side() -> None:
    space = SearchSpace(read_definition(RUNS, "test"))
    check(space, population(space, 24))


@pytest.mark.parametrize("name", ["hybrid-tiny", "hybrid-wide-tiny", "macro"])
def test_children_of_a_named_space(name: str) -> None:
    space = load_space(name)
    check(space, population(space, 16))


def test_what_children_begin_with_is_built_and_run_once(
    batch_norm_space: SearchSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = batch_norm_space
    supernet = Supernet(space, DataShape(3, 4))
    built: list[Part] = []
    extract_part = supernet.extract_part
    monkeypatch.setattr(
        supernet,
        "extract_part",
        lambda name, part: built.append(part) or extract_part(name, part),  # type: ignore[func-returns-value]
    )
    child = space.decode(space.largest())
    tree = ChildrenTree(supernet, {0: child, 1: child})
    assert built == list(parts_of(child, supernet.data_shape).values())
    scores = tree.eval()(torch.zeros(2, 3, child.resolution, child.resolution))
    assert scores[0] is scores[1]


def test_no_image_is_drawn_for_children_without_batch_norm(space: SearchSpace) -> None:
    def none(side: int) -> Iterator[Tensor]:
        raise AssertionError("images are drawn")
        yield

    children = [child for child in population(space) if child.resolution == 8]
    evaluate_children(Supernet(space, DataShape(3, 4)), children, batches, none)
