"""Children are evaluated alike here and in another process, alone and together."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from threading import Event

import numpy as np
import pytest
import torch
from torch import nn

from nas.data import SearchData, load_data
from nas.errors import CheckpointError, RunError
from nas.run.evaluator import ChildEvaluator, EvaluationImages, load_supernet
from search_spaces import Architecture, SearchSpace, load_space
from search_spaces.data_shape import DataShape
from search_spaces.parts import Part, parts_of
from supernet.calibration import calibrate
from supernet.evaluation import evaluate
from supernet.supernet import Supernet
from supernet.training.checkpoint import to_bytes

SHAPE = DataShape(1, 3)

SPACE = """
schema: 1
name: minute
resolution: 8
norm: batch
stem: [conv: {stride: [2, 1]}]
stages:
- {width: [8, 16], depth: [1, 2], mixers: [pool, depthwise: {kernel: [3, 5]}],
   channel_mixers: [none, mlp: {ratio: [1, 2]}]}
"""


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> SearchSpace:
    file = tmp_path_factory.mktemp("space") / "minute.yaml"
    file.write_text(SPACE)
    return load_space(file)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> SearchData:
    file = tmp_path_factory.mktemp("images") / "images.npz"
    images = np.random.default_rng(0).integers(0, 255, (240, 8, 8), dtype=np.uint8)
    np.savez(file, images=images, labels=np.arange(240) % 3)
    return load_data(f"npz:{file}", seed=2).search_view()


@pytest.fixture(scope="module")
def evaluator(space: SearchSpace, data: SearchData) -> ChildEvaluator:
    """Of a supernet with random weights."""
    return ChildEvaluator(Supernet(space, SHAPE, seed=5), EvaluationImages(data))


@pytest.fixture(scope="module")
def children(space: SearchSpace) -> list[Architecture]:
    return [space.decode(code) for code in space.sample(3, np.random.default_rng(1))]


ELSEWHERE = """
import pathlib, pickle, sys, torch
from nas.run.evaluator import evaluator_from
torch.set_num_threads(1)
*made, children = pickle.loads(pathlib.Path(sys.argv[1]).read_bytes())
evaluator = evaluator_from(*made, "cpu")
pathlib.Path(sys.argv[1]).write_bytes(pickle.dumps([evaluator(child) for child in children]))
"""


def test_another_process_finds_equal_numbers(
    evaluator: ChildEvaluator, space: SearchSpace, children: list[Architecture], tmp_path: Path
) -> None:
    here = [evaluator(child) for child in children]
    assert len({score.loss for score in here}) == 3
    file = tmp_path / "evaluator"
    file.write_bytes(pickle.dumps((evaluator.parts(), space, SHAPE, children)))
    subprocess.run([sys.executable, "-c", ELSEWHERE, str(file)], check=True)
    assert pickle.loads(file.read_bytes()) == here


def test_a_child_is_judged_on_some_validation_images(
    evaluator: ChildEvaluator, data: SearchData, children: list[Architecture]
) -> None:
    images = EvaluationImages(data, validation=7)
    ((pixels, labels),) = images.validation(8)
    assert len(pixels) == len(labels) == 7
    ((again, _),) = EvaluationImages(data, validation=7).validation(8)
    assert torch.equal(pixels, again)
    few = ChildEvaluator(evaluator.supernet, images)
    assert few(children[0]) != evaluator(children[0])


class Counted(Supernet):
    """Counts the parts that it builds."""

    built = 0

    def extract_part(self, name: str, part: Part) -> nn.Module:
        self.built += 1
        return super().extract_part(name, part)


def test_a_child_is_built_once_and_calibrated_on_training_images(
    space: SearchSpace, data: SearchData, children: list[Architecture]
) -> None:
    supernet, images, child = Counted(space, SHAPE), EvaluationImages(data), children[0]
    found = images.evaluate(supernet, child)
    assert supernet.built == len(parts_of(child, supernet.data_shape))
    network = supernet.extract(child)
    calibrate(network, images.calibration(child.resolution))
    assert found == evaluate(network, images.validation(child.resolution))
    assert found != evaluate(supernet.extract(child), images.validation(child.resolution))


def test_an_evaluation_that_nobody_waits_for_ends_early(
    evaluator: ChildEvaluator, children: list[Architecture]
) -> None:
    stopped = Event()
    assert evaluator.all_of(children, stopped) == [evaluator(child) for child in children]
    stopped.set()
    with pytest.raises(RunError, match="was stopped"):
        evaluator.all_of(children, stopped)


def test_a_file_of_another_supernet_is_refused(
    evaluator: ChildEvaluator, space: SearchSpace, tmp_path: Path
) -> None:
    file, weights = tmp_path / "supernet.safetensors", dict(evaluator.supernet.named_parameters())
    file.write_bytes(to_bytes(weights, {"key": "abc", "curve": [{"epoch": 1.0}]}))
    read = Supernet(space, SHAPE)
    with pytest.raises(CheckpointError, match="holds another supernet. Delete it to train"):
        load_supernet(read, file, "xyz")
    assert load_supernet(read, file, "abc") == [{"epoch": 1.0}]
    assert all(torch.equal(p, weights[name]) for name, p in read.named_parameters())
