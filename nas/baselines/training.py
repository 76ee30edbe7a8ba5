"""Training of a stock network: the same loop, images and augmentation as for our own networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from nas.retrain.trainer import OneChild
from search_spaces.architecture import Architecture
from search_spaces.network import Wrap
from supernet.batches import TrainingData
from supernet.calibration import calibrate_on
from supernet.supervision.labels import Labels
from supernet.training.loop import Checkpoints, Curve, TrainingProgress, run_steps
from supernet.training.recipe import Recipe
from supernet.training.teaching import Teaching

BATCH_SIZE = 64
RATE_PRETRAINED, RATE_NEW = 1e-3, 4e-3


def stock_recipe(pretrained: bool, epochs: int, images: int) -> Recipe:
    """How a stock network is trained.

    Args:
        pretrained: Whether it starts from published weights; the learning rate is lower then.
        epochs: Passes over the images.
        images: Number of training images.
    """
    return Recipe(
        epochs=epochs,
        batch_size=max(2, min(BATCH_SIZE, images)),
        learning_rate=RATE_PRETRAINED if pretrained else RATE_NEW,
        drop_path=0.0,
        weight_decay=0.02 if pretrained else 0.05,
        ema_decay=0.98,
    )


def train_stock(
    network: nn.Module,
    side: int,
    data: TrainingData,
    recipe: Recipe,
    *,
    seed: int = 0,
    checkpoints: Checkpoints | None = None,
    progress: Callable[[TrainingProgress], None] | None = None,
) -> Curve:
    """Train a network in place; at the end it holds averaged weights and is in eval mode.

    Args:
        network: Any network from images (B, C, side, side) to class scores.
        side: Height and width of its images.
        data: Batches of training images.
        recipe: Number of epochs, batch size and rates.
        seed: Of chance within the network, such as dropout.
    """

    def maps(images: Tensor, _: Architecture, wrap: Wrap) -> Iterator[tuple[str, Tensor]]:
        network.train()
        yield "scores", network(images.contiguous(memory_format=torch.channels_last))

    sampler = OneChild(cast(Architecture, _Size(side)))
    teaching = Teaching(network, maps, data, recipe, sampler, Labels(), seed)
    curve = run_steps(teaching, recipe, checkpoints=checkpoints, progress=progress)
    calibrate_on(network, data, recipe.batch_size, side)
    return curve


@dataclass(frozen=True)
class _Size:
    """All that training reads of an architecture."""

    resolution: int
