"""Children are evaluated alike here, in another process, and after the weights are read again."""

from __future__ import annotations

import dataclasses
import pickle
import subprocess
import sys
from pathlib import Path
from threading import Event

import numpy as np
import pytest
import torch
from torch import nn

from nas.data import load_data
from nas.errors import CheckpointError, DataError, RunError
from nas.reading import ReadOptions
from nas.run.context import Context
from nas.run.evaluator import ChildEvaluator, EvaluationImages, Loaded
from nas.run.supernets import evaluator_of
from nas.settings import Settings
from nas.storage import atomic_write
from search_spaces import Architecture, load_space
from search_spaces.data_shape import DataShape
from search_spaces.parts import Part, parts_of
from supernet.calibration import calibrate
from supernet.evaluation import evaluate
from supernet.supernet import Supernet
from supernet.training.checkpoint import to_bytes

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
def evaluator(tmp_path_factory: pytest.TempPathFactory) -> ChildEvaluator:
    """Of a supernet with random weights, nothing in memory."""
    folder = tmp_path_factory.mktemp("evaluator")
    (folder / "minute.yaml").write_text(SPACE)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (240, 8, 8), dtype=np.uint8)
    np.savez(folder / "images.npz", images=images, labels=np.arange(240) % 3)
    supernet = Supernet(load_space(folder / "minute.yaml"), DataShape(1, 3), seed=5)
    weights = {name: p for name, p in supernet.named_parameters()}
    atomic_write(folder / "supernet.safetensors", to_bytes(weights, {"key": "abc", "curve": []}))
    spec = f"npz:{folder / 'images.npz'}"
    return ChildEvaluator(
        space=str(folder / "minute.yaml"),
        data=spec,
        seed=2,
        data_id=load_data(spec, seed=2).id,
        weights=folder / "supernet.safetensors",
        key="abc",
    )


def _children(evaluator: ChildEvaluator) -> list[Architecture]:
    space = load_space(evaluator.space)
    return [space.decode(code) for code in space.sample(3, np.random.default_rng(1))]


ELSEWHERE = """
import pathlib, pickle, sys, torch
torch.set_num_threads(1)
evaluator, children = pickle.loads(pathlib.Path(sys.argv[1]).read_bytes())
pathlib.Path(sys.argv[1]).write_bytes(pickle.dumps([evaluator(child) for child in children]))
"""


def test_another_process_finds_equal_numbers(evaluator: ChildEvaluator, tmp_path: Path) -> None:
    children = _children(evaluator)
    here = [evaluator(child) for child in children]  # its pickle holds nothing that it loaded
    assert len({score.loss for score in here}) == 3
    file = tmp_path / "evaluator"
    file.write_bytes(pickle.dumps((evaluator, children)))
    subprocess.run([sys.executable, "-c", ELSEWHERE, str(file)], check=True)
    assert pickle.loads(file.read_bytes()) == here


def test_a_pickle_is_the_description_alone(evaluator: ChildEvaluator) -> None:
    data = load_data(evaluator.data, seed=2).search_view()
    supernet = Supernet(load_space(evaluator.space), DataShape(1, 3))
    ready = dataclasses.replace(evaluator, loaded=Loaded(supernet, EvaluationImages(data)))
    ready(_children(evaluator)[0])
    content = pickle.dumps(ready)
    assert len(content) < 1000
    assert pickle.loads(content) == evaluator
    assert pickle.loads(content).loaded is None


def test_what_is_in_memory_is_not_read(evaluator: ChildEvaluator, tmp_path: Path) -> None:
    data = load_data(evaluator.data, seed=2).search_view()
    loaded = Loaded(
        Supernet(load_space(evaluator.space), DataShape(1, 3), seed=5), EvaluationImages(data)
    )
    ready = dataclasses.replace(evaluator, weights=tmp_path / "none", loaded=loaded)
    child = _children(evaluator)[0]
    assert ready(child) == evaluator(child)


def test_a_child_is_judged_on_some_validation_images(evaluator: ChildEvaluator) -> None:
    data = load_data(evaluator.data, seed=2).search_view()
    images = EvaluationImages(data, validation=7)
    ((pixels, labels),) = images.validation(8)
    assert len(pixels) == len(labels) == 7
    ((again, _),) = EvaluationImages(data, validation=7).validation(8)
    assert torch.equal(pixels, again)
    few = dataclasses.replace(evaluator, validation=7)
    child = _children(evaluator)[0]
    assert few(child) != evaluator(child)


class Counted(Supernet):
    """Counts the parts that it builds."""

    built = 0

    def extract_part(self, name: str, part: Part) -> nn.Module:
        self.built += 1
        return super().extract_part(name, part)


def test_a_child_is_built_once_and_calibrated_on_training_images(
    evaluator: ChildEvaluator,
) -> None:
    data = load_data(evaluator.data, seed=2).search_view()
    supernet, images = (
        Counted(load_space(evaluator.space), DataShape(1, 3)),
        EvaluationImages(data),
    )
    (child, *_) = _children(evaluator)
    found = images.evaluate(supernet, child)
    assert supernet.built == len(parts_of(child, supernet.data_shape))
    network = supernet.extract(child)
    calibrate(network, images.calibration(child.resolution))
    assert found == evaluate(network, images.validation(child.resolution))
    assert found != evaluate(supernet.extract(child), images.validation(child.resolution))


def test_an_evaluation_that_nobody_waits_for_ends_early(evaluator: ChildEvaluator) -> None:
    stopped = Event()
    children = _children(evaluator)
    assert evaluator.all_of(children, stopped) == [evaluator(child) for child in children]
    stopped.set()
    with pytest.raises(RunError, match="was stopped"):
        evaluator.all_of(children, stopped)


def test_other_weights_and_other_data_are_refused(evaluator: ChildEvaluator) -> None:
    child = _children(evaluator)[0]
    with pytest.raises(CheckpointError, match="holds another supernet. Delete it to train"):
        dataclasses.replace(evaluator, key="xyz")(child)
    with pytest.raises(DataError, match="is not what the supernet abc was trained on"):
        dataclasses.replace(evaluator, data_id="0" * 12)(child)


def test_another_process_reads_the_data_the_same_way(
    evaluator: ChildEvaluator, tmp_path: Path
) -> None:
    """The order of the axes of arrays goes along."""
    images = np.random.default_rng(0).integers(0, 255, (60, 3, 8, 6), dtype=np.uint8)
    np.savez(tmp_path / "nchw.npz", images=images, labels=np.arange(60) % 3)
    reading = ReadOptions(array_layout="NCHW")
    settings = Settings(
        space=evaluator.space, data=f"npz:{tmp_path / 'nchw.npz'}", reading=reading
    )
    context = Context(settings)
    assert context.data.shape.channels == 3
    supernet = Supernet(context.whole_space, DataShape(3, 3))
    made = evaluator_of(context, supernet, tmp_path / "supernet.safetensors", "abc")
    weights = {name: p for name, p in supernet.named_parameters()}
    atomic_write(made.weights, to_bytes(weights, {"key": "abc", "curve": []}))
    there = pickle.loads(pickle.dumps(made))
    child = _children(evaluator)[0]
    assert there(child) == made(child)
