"""Retraining: one stand-alone network, trained like any other, to the end.

    loss = H(y, p)                  y target probabilities, p softmax of the scores
    loss = H((1 - w) q + w y, p)    with a teacher's probabilities q, w the recipe's label weight

Training never reads batch-norm buffers: they are written anew, from training images on the
averaged weights, before each validation and at the end. So a training that was cut off continues
to the very bits it would have had.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from search_spaces.architecture import Architecture
from search_spaces.network import Network, build_network
from supernet.randomness import seeded
from supernet.supervision.in_place import InPlaceDistillation
from supernet.training.loop import Checkpoints, Curve, Progress, run_steps
from supernet.training.recipe import Recipe
from supernet.training.train import TrainingData

CALIBRATION_BATCHES = 20

_INITIAL_WEIGHTS = 2**31
"""Place of the initial weights among a seed's random numbers: no step has this number."""


def fresh_network(
    architecture: Architecture, in_channels: int, num_classes: int, seed: int
) -> Network:
    """A network whose initial weights depend on the seed alone."""
    with seeded(seed, _INITIAL_WEIGHTS):
        return build_network(architecture, in_channels, num_classes)


def retrain(
    network: Network,
    data: TrainingData,
    recipe: Recipe,
    *,
    seed: int = 0,
    validate: Callable[[Network], Mapping[str, float]] | None = None,
    checkpoints: Checkpoints | None = None,
    progress: Callable[[Progress], None] | None = None,
    teacher: Callable[[Tensor], Tensor] | None = None,
) -> Curve:
    """Train `network` in place; at the end it holds averaged weights and is in eval mode.

    Args:
        network: Extracted from a supernet, or fresh.
        data: Batches of training images.
        recipe: How long and how fast.
        seed: Of stochastic depth.
        validate: Called with the averaged weights, in eval mode, after each of about 20 epochs.
        checkpoints: Where to continue from and to save to.
        progress: Told after each step.
        teacher: Gives scores of the same images to learn from beside the labels.

    Returns:
        One entry per validated epoch: `epoch`, the mean training `loss`, what `validate` said.
    """
    device = next(network.parameters()).device
    loss = InPlaceDistillation(recipe.label_weight)

    def step(number: int) -> float:
        batch = data.batch(number, recipe.batch_size, network.architecture.resolution)
        images = batch.images.to(device)
        taught = None if teacher is None else _answers(teacher, images)
        network.train()
        with seeded(seed, number):
            with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                scores = network(images, recipe.drop_path)
            value = loss(scores.float(), batch.targets.to(device), taught)
            value.backward()  # type: ignore[no-untyped-call]
        return float(value.detach())

    def validated() -> Mapping[str, float]:
        calibrate(network, data, recipe.batch_size)
        with torch.no_grad():
            return {} if validate is None else validate(network)

    curve = run_steps(
        network,
        recipe,
        data.steps_per_epoch(recipe.batch_size),
        step,
        validate=None if validate is None else validated,
        checkpoints=checkpoints,
        progress=progress,
    )
    calibrate(network, data, recipe.batch_size)
    return curve


@torch.no_grad()
def calibrate(
    network: Network, data: TrainingData, batch_size: int, batches: int = CALIBRATION_BATCHES
) -> None:
    """Put the network in eval mode, with batch-norm statistics of its present weights.

    The statistics are plain means over the first `batches` training batches; a network without
    batch norm runs none.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    if norms:
        device = next(network.parameters()).device
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # a plain mean
        network.train()
        for number in range(min(batches, data.steps_per_epoch(batch_size))):
            batch = data.batch(number, batch_size, network.architecture.resolution)
            network(batch.images.to(device))
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
    network.eval()


@torch.no_grad()
def _answers(teacher: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    return teacher(images).float()
