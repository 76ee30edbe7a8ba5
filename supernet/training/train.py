"""Training of a supernet: a sandwich of children each step, all taught by the largest.

for each step:    children = largest, smallest, random ones
    largest       learns from the labels
    others        learn from the largest one's answers to the same images
    update        the weights that any of them touched
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import torch
from torch import Tensor

from search_spaces.architecture import Architecture
from supernet.randomness import generator, seeded
from supernet.sampling.sandwich import Sampler, Sandwich
from supernet.supernet import Supernet
from supernet.supervision.in_place import InPlaceDistillation, Loss
from supernet.training.loop import Checkpoints, Curve, Progress, run_steps
from supernet.training.recipe import Recipe


class Batch(Protocol):
    """Images (B, C, R, R) and target probabilities (B, classes)."""

    @property
    def images(self) -> Tensor:
        """Normalised images."""
        ...

    @property
    def targets(self) -> Tensor:
        """Probabilities of the classes."""
        ...


class TrainingData(Protocol):
    """Batches by number: equal numbers give equal images, at any resolution."""

    def steps_per_epoch(self, batch_size: int) -> int:
        """Full batches in one pass over the images."""
        ...

    def batch(self, step: int, batch_size: int, resolution: int) -> Batch:
        """The batch of a step, counted from the beginning of training."""
        ...


def train(
    supernet: Supernet,
    data: TrainingData,
    recipe: Recipe,
    *,
    seed: int = 0,
    validate: Callable[[Supernet], Mapping[str, float]] | None = None,
    checkpoints: Checkpoints | None = None,
    progress: Callable[[Progress], None] | None = None,
    sampler: Sampler | None = None,
    loss: Loss | None = None,
) -> Curve:
    """Train the shared weights in place; at the end they are their moving averages.

    Args:
        supernet: What is trained.
        data: Batches of training images.
        recipe: How long and how fast.
        seed: Of the children and of stochastic depth.
        validate: Called with the averaged weights after each of about 20 epochs.
        checkpoints: Where to continue from and to save to.
        progress: Told after each step.
        sampler: Chooses the children; a sandwich by default.
        loss: Of each child; in-place distillation by default.

    Returns:
        One entry per validated epoch: `epoch`, the mean loss of the teacher, what `validate` said.
    """
    chosen = sampler or Sandwich(supernet.space, recipe.random_children)
    measure = loss or InPlaceDistillation(recipe.label_weight)

    def step(number: int) -> float:
        with seeded(seed, number):
            children = chosen.children(generator(seed, number))
            return _gradients(supernet, children, data, recipe, measure, number)

    return run_steps(
        supernet,
        recipe,
        data.steps_per_epoch(recipe.batch_size),
        step,
        validate=None if validate is None else lambda: validate(supernet),
        checkpoints=checkpoints,
        progress=progress,
    )


def _gradients(
    supernet: Supernet,
    children: list[Architecture],
    data: TrainingData,
    recipe: Recipe,
    loss: Loss,
    step: int,
) -> float:
    """All children forward and backward on the step's images; returns the teacher's loss."""
    device = next(supernet.parameters()).device
    batches: dict[int, tuple[Tensor, Tensor]] = {}
    teacher: Tensor | None = None
    losses = []
    for child in children:
        side = child.resolution
        if side not in batches:
            batch = data.batch(step, recipe.batch_size, side)
            batches[side] = batch.images.to(device), batch.targets.to(device)
        images, targets = batches[side]
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            scores = supernet(images, child, drop_path_rate=recipe.drop_path)
        value = loss(scores.float(), targets, teacher)
        value.backward()  # type: ignore[no-untyped-call]
        losses.append(value.detach())
        teacher = scores.detach().float() if teacher is None else teacher
    return float(losses[0])  # only now: the host would wait for a GPU's result
