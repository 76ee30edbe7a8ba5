"""Training learns, is decided by its seed, and continues to the bit."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from search_spaces.data_shape import DataShape
from search_spaces.errors import CheckpointError
from search_spaces.space import SearchSpace
from supernet import Supernet
from supernet.batches import TrainingData
from supernet.sampling.sandwich import Sandwich, SandwichOptions
from supernet.supervision.in_place import InPlaceDistillation, InPlaceOptions
from supernet.training.checkpoint import from_bytes, to_bytes
from supernet.training.loop import Checkpoints, Curve, TrainingProgress
from supernet.training.recipe import Recipe
from supernet.training.train import train

RECIPE = Recipe(epochs=3, batch_size=8, learning_rate=1e-2)


class Killed(Exception):
    """Stands for kill -9."""


def _train(supernet: Supernet, data: TrainingData, recipe: Recipe = RECIPE, **how: Any) -> Curve:
    sampler = Sandwich(supernet.space, SandwichOptions())
    return train(supernet, data, recipe, sampler, InPlaceDistillation(InPlaceOptions()), **how)


def _weights(
    space: SearchSpace, data: TrainingData, checkpoints: Checkpoints | None = None
) -> dict[str, torch.Tensor]:
    supernet = Supernet(space, DataShape(1, 2))
    _train(supernet, data, seed=1, checkpoints=checkpoints)
    return supernet.state_dict()


def _same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


def test_all_children_learn(space: SearchSpace, blobs: TrainingData) -> None:
    supernet = Supernet(space, DataShape(1, 2))
    recipe = Recipe(epochs=20, batch_size=16, learning_rate=1e-2)
    curve = _train(supernet, blobs, recipe)
    assert curve[-1]["loss"] < 0.5 * curve[0]["loss"]
    batch = blobs.batch(10_000, 64, 8)
    for code in (space.largest(), *space.sample(3, np.random.default_rng(0))):
        child = space.decode(code)
        images = blobs.batch(10_000, 64, child.resolution).images
        right = supernet(images, child).argmax(1) == batch.targets.argmax(1)
        assert right.float().mean() > 0.9


def test_equal_seeds_train_equally_whatever_the_global_states(
    space: SearchSpace, blobs: TrainingData
) -> None:
    first = _weights(space, blobs)
    torch.manual_seed(99)
    np.random.seed(99)  # noqa: NPY002
    random.seed(99)
    assert _same(first, _weights(space, blobs))


@pytest.mark.parametrize("killed_at", [1, 5, 11])
def test_a_killed_training_continues_to_the_very_bits(
    space: SearchSpace, blobs: TrainingData, killed_at: int
) -> None:
    kept: list[bytes] = []

    def kill(now: TrainingProgress) -> None:
        if now.step == killed_at:
            raise Killed

    checkpoints = Checkpoints("key", lambda: kept[-1] if kept else None, kept.append, seconds=0)
    supernet = Supernet(space, DataShape(1, 2))
    with pytest.raises(Killed):
        _train(supernet, blobs, seed=1, checkpoints=checkpoints, progress=kill)
    assert _same(_weights(space, blobs), _weights(space, blobs, checkpoints))


def test_the_curve_survives_a_kill(space: SearchSpace, blobs: TrainingData) -> None:
    kept: list[bytes] = []

    def run(progress: Callable[[TrainingProgress], None] | None) -> list[dict[str, float]]:
        checkpoints = Checkpoints("k", lambda: kept[-1] if kept else None, kept.append, 0)
        return _train(
            Supernet(space, DataShape(1, 2)), blobs, checkpoints=checkpoints, progress=progress
        )

    def kill(now: TrainingProgress) -> None:
        if now.step == 7:
            raise Killed

    with pytest.raises(Killed):
        run(kill)
    continued = run(None)
    kept.clear()
    assert continued == run(None)
    assert [entry["epoch"] for entry in continued] == [1, 2, 3]


def test_a_checkpoint_of_something_else_is_refused(
    space: SearchSpace, blobs: TrainingData
) -> None:
    content = to_bytes({}, {"key": "other", "step": 0, "curve": [], "losses": []})
    checkpoints = Checkpoints("mine", lambda: content, lambda _: None, place="some/file")
    with pytest.raises(CheckpointError, match=r"other settings .*delete some/file to start anew"):
        _weights(space, blobs, checkpoints)


def test_validation_sees_the_averaged_weights_and_leaves_training_alone(
    space: SearchSpace, blobs: TrainingData
) -> None:
    seen: list[float] = []

    def validate(supernet: Supernet) -> dict[str, float]:
        seen.append(float(next(supernet.parameters()).detach().sum()))
        return {"accuracy": 1.0}

    supernet = Supernet(space, DataShape(1, 2))
    curve = _train(supernet, blobs, seed=1, validate=validate)
    assert [entry["accuracy"] for entry in curve] == [1.0] * 3
    assert seen[-1] == float(next(supernet.parameters()).detach().sum())
    assert _same(supernet.state_dict(), _weights(space, blobs))


@pytest.mark.parametrize(("seconds_a_step", "written"), [(1.0, 3), (6.0, 11), (0.1, 0)])
def test_checkpoints_are_written_after_so_many_seconds(
    space: SearchSpace, blobs: TrainingData, seconds_a_step: float, written: int
) -> None:
    kept: list[bytes] = []
    ticks = (i * seconds_a_step for i in range(100))
    checkpoints = Checkpoints("key", lambda: None, kept.append, 3.0, lambda: next(ticks))
    _train(
        Supernet(space, DataShape(1, 2)), blobs, checkpoints=checkpoints
    )  # 12 steps, none after the last
    assert len(kept) == written


def test_checkpoints_round_trip() -> None:
    tensors = {"a": torch.randn(3, 4), "b": torch.arange(3)}
    read, description = from_bytes(to_bytes(tensors, {"step": 3}), "here")
    assert description == {"step": 3}
    assert _same(tensors, read)


@pytest.mark.parametrize("damage", ["cut", "bit", "text", "empty"])
def test_damaged_checkpoints_are_told(damage: str) -> None:
    content = bytearray(to_bytes({"a": torch.randn(100)}, {"step": 3}))
    content[-10] ^= 1
    broken = {
        "cut": bytes(content[:-20]),
        "bit": bytes(content),
        "text": b"not a checkpoint",
        "empty": b"",
    }[damage]
    with pytest.raises(CheckpointError, match="checkpoint here is damaged"):
        from_bytes(broken, "here")


def test_checkpoints_of_another_schema_are_refused() -> None:
    content = to_bytes({}, {}).replace(rb"\"schema\": \"1\"", rb"\"schema\": \"2\"")
    with pytest.raises(CheckpointError, match="has schema 2; this version reads 1"):
        from_bytes(content, "here")
