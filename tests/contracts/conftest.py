"""For the contracts of samplers and supervision: a small space, images, trainings cut short."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from search_spaces.data_shape import DataShape
from search_spaces.definition import read_definition
from search_spaces.space import SearchSpace
from supernet import Supernet
from supernet.method import Method, Setup
from supernet.training.loop import Checkpoints, Curve, TrainingProgress
from supernet.training.recipe import Recipe
from supernet.training.train import train
from tests.blobs import Blobs

SPACE = """
schema: 1
name: small
resolution: [6, 8]
stem: [conv: {stride: 1}]
stages:
- {width: [8, 12], depth: [1, 2], mixers: [depthwise: {kernel: [3, 5]}, attention],
   channel_mixers: [none, mlp: {ratio: [1, 2]}]}
"""
RECIPE = Recipe(epochs=3, batch_size=8, learning_rate=1e-2)


class Trained(NamedTuple):
    """How a training ended."""

    weights: dict[str, Tensor]
    own: dict[str, Tensor]
    """The supervision's parameters and buffers."""
    curve: Curve

    def same(self, other: Trained) -> bool:
        pairs = [(self.weights, other.weights), (self.own, other.own)]
        return self.curve == other.curve and all(
            torch.equal(one[name], two[name]) for one, two in pairs for name in one
        )


class Killed(Exception):
    """Stands for kill -9."""


TrainToy = Callable[..., Trained]


@pytest.fixture(scope="module")
def small_space() -> SearchSpace:
    return SearchSpace(read_definition(SPACE, "test"))


class Brightness:
    """An external teacher: the brighter an image, the surer it is of the first class."""

    def probabilities(self, images: Tensor) -> Tensor:
        first = images.mean((1, 2, 3)).sigmoid()
        return torch.stack([first, 1 - first], dim=1)

    def unlabelled(self, step: int, batch_size: int, resolution: int) -> Tensor:
        generator = torch.Generator().manual_seed(step)
        return torch.randn(3, 1, resolution, resolution, generator=generator)


def setup_of(space: SearchSpace) -> Setup:
    """Two classes, one channel; the sum of the genes stands for multiply-accumulates."""
    return Setup(
        Supernet(space, DataShape(1, 2), seed=3),
        lambda codes: codes.sum(axis=1).astype(float),
        teacher=Brightness(),
    )


@pytest.fixture(scope="module")
def setup(small_space: SearchSpace) -> Setup:
    return setup_of(small_space)


@pytest.fixture(scope="module")
def train_toy(small_space: SearchSpace) -> TrainToy:
    """Trains with a sampler and a supervision; killed after `kill_at` steps, then resumed.

    Other values of the recipe can be given by name.
    """

    def once(
        sampler: Method,
        supervision: Method,
        checkpoints: Checkpoints | None = None,
        progress: Callable[[TrainingProgress], None] | None = None,
        recipe: Recipe = RECIPE,
    ) -> Trained:
        setup = setup_of(small_space)
        np.random.seed(None)  # noqa: NPY002
        torch.manual_seed(0)  # of the supervision's initial weights
        taught = supervision.make(setup, supervision.options())
        torch.seed()  # training must not depend on the global generators
        curve = train(
            setup.supernet,
            Blobs(steps=2),
            recipe,
            sampler.make(setup, sampler.options()),
            taught,
            seed=1,
            checkpoints=checkpoints,
            progress=progress,
        )
        return Trained(setup.supernet.state_dict(), _copies(taught.state_dict()), curve)

    def trained(
        sampler: Method, supervision: Method, kill_at: int | None = None, **values: Any
    ) -> Trained:
        recipe = RECIPE.model_copy(update=values)
        if kill_at is None:
            return once(sampler, supervision, recipe=recipe)
        kept: list[bytes] = []

        def kill(now: TrainingProgress) -> None:
            if now.step == kill_at + 1:  # the checkpoint of the step before is the last
                raise Killed

        checkpoints = Checkpoints("toy", lambda: kept[-1] if kept else None, kept.append, 0)
        with pytest.raises(Killed):
            once(sampler, supervision, checkpoints, kill, recipe)
        return once(sampler, supervision, checkpoints, recipe=recipe)

    return trained


def _copies(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in tensors.items()}
