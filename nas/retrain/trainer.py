"""Retraining: one stand-alone network, trained like any other, to the end.

    supernet training with one child, the whole network, in every step

Training never reads batch-norm buffers: they are written anew, from training images on the
averaged weights, before each validation and at the end. So a training that was cut off continues
to exactly the weights it would have had.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from search_spaces.architecture import Architecture
from search_spaces.data_shape import DataShape
from search_spaces.network import Network, Wrap, build_network
from supernet.batches import TrainingData
from supernet.calibration import calibrate_on
from supernet.randomness import Stream, seeded
from supernet.sampling import Child, Moment
from supernet.supervision import Supervision
from supernet.supervision.labels import Labels
from supernet.training.loop import Checkpoints, Curve, TrainingProgress, run_steps
from supernet.training.parallel.workers import Workers
from supernet.training.recipe import Recipe
from supernet.training.teaching import Teaching


def fresh_network(architecture: Architecture, data_shape: DataShape, seed: int) -> Network:
    """A network whose initial weights depend on the seed alone."""
    with seeded(seed, Stream.OWN_WEIGHTS):
        return build_network(architecture, data_shape)


def retrain(
    network: Network,
    data: TrainingData,
    recipe: Recipe,
    *,
    seed: int = 0,
    validate: Callable[[Network], Mapping[str, float]] | None = None,
    checkpoints: Checkpoints | None = None,
    progress: Callable[[TrainingProgress], None] | None = None,
    supervision: Supervision | None = None,
    point: Callable[[Mapping[str, float]], None] | None = None,
    workers: Workers | None = None,
) -> Curve:
    """Train `network` in place; at the end it holds averaged weights and is in eval mode.

    Args:
        seed: Of stochastic depth.
        validate: Called with the averaged weights, in eval mode, after each of about 20 epochs.
        supervision: What it learns from; the labels by default.
        point: Called with each new entry of the curve, by every worker.
        workers: The processes that share the training; this one alone by default.

    Returns:
        One entry per validated epoch: `epoch`, the mean training `loss`, what `validate` said.
    """

    def maps(images: Tensor, _: Architecture, wrap: Wrap) -> Iterator[tuple[str, Tensor]]:
        network.train()
        return network.maps(images, network.part_names, recipe.drop_path, wrap)

    def validated() -> Mapping[str, float]:
        calibrate_on(network, data, recipe.batch_size, side)
        with torch.no_grad():
            return {} if validate is None else validate(network)

    taught, side = supervision or Labels(), network.architecture.resolution
    sampler = OneChild(network.architecture)
    curve = run_steps(
        Teaching(network, maps, data, recipe, sampler, taught, seed, workers),
        recipe,
        validate=None if validate is None else validated,
        checkpoints=checkpoints,
        progress=progress,
        point=point,
    )
    calibrate_on(network, data, recipe.batch_size, side)
    return curve


class OneChild:
    """The sampler of a single network: that network in every step."""

    def __init__(self, architecture: Architecture) -> None:
        self._child = Child(architecture)

    def children(self, moment: Moment, rng: np.random.Generator) -> list[Child]:
        """Always the same."""
        return [self._child]
