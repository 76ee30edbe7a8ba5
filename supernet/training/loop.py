"""The loop of every training: steps by number, validation, checkpoints to continue from.

A step depends on the seed and its number only, so a training that was cut off continues to the
very bits it would have had.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from search_spaces.errors import CheckpointError
from supernet.training.checkpoint import from_bytes, to_bytes
from supernet.training.optimisation import Optimisation
from supernet.training.recipe import Recipe

CHECKPOINT_SECONDS = 20.0
CURVE_POINTS = 20

Curve = list[dict[str, float]]


@dataclass(frozen=True)
class Progress:
    """Where a training stands, told after each step."""

    step: int
    steps: int
    loss: float


@dataclass(frozen=True)
class Checkpoints:
    """Where a training's checkpoints come from and go to.

    Args:
        key: What is being trained; a checkpoint of another key is refused.
        read: The last checkpoint's bytes, None at the start.
        write: Keeps the bytes, whole or not at all.
        seconds: At least this long between two of them; they do not change the result.
    """

    key: str
    read: Callable[[], bytes | None]
    write: Callable[[bytes], None]
    seconds: float = CHECKPOINT_SECONDS


def run_steps(
    model: nn.Module,
    recipe: Recipe,
    steps_per_epoch: int,
    step: Callable[[int], float],
    *,
    validate: Callable[[], Mapping[str, float]] | None = None,
    checkpoints: Checkpoints | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Curve:
    """Train `model` in place; at the end its weights are their moving averages.

    Args:
        model: What is trained.
        recipe: How long and how fast.
        steps_per_epoch: Steps in one pass over the images.
        step: Computes the gradients of the step of that number and returns its loss.
        validate: Called with the averaged weights in place, after each of about 20 epochs.
        checkpoints: Where to continue from and to save to.
        progress: Told after each step.

    Returns:
        One entry per validated epoch: `epoch`, the mean training `loss`, what `validate` said.
    """
    steps = steps_per_epoch * recipe.epochs
    state = Optimisation(model, recipe, steps)
    curve: Curve = []
    losses: list[float] = []
    if checkpoints is not None:
        curve, losses = _continue(state, checkpoints)
    every = max(1, recipe.epochs // CURVE_POINTS)
    saved = time.monotonic()
    while state.step_number < steps:
        losses.append(step(state.step_number))
        state.step()
        if progress is not None:
            progress(Progress(state.step_number, steps, losses[-1]))
        epoch, rest = divmod(state.step_number, steps_per_epoch)
        if rest == 0 and (epoch % every == 0 or epoch == recipe.epochs):
            entry = {"epoch": float(epoch), "loss": sum(losses) / len(losses)}
            curve.append(entry | dict(_validated(state, validate)))
            losses = []
        due = time.monotonic() - saved >= (checkpoints.seconds if checkpoints else 0)
        if checkpoints is not None and due and state.step_number < steps:
            _save(state, checkpoints, curve, losses)
            saved = time.monotonic()
    state.adopt_averages()
    return curve


def _validated(
    state: Optimisation, validate: Callable[[], Mapping[str, float]] | None
) -> Mapping[str, float]:
    if validate is None:
        return {}
    state.swap_averages()
    try:
        return validate()
    finally:
        state.swap_averages()


def _continue(state: Optimisation, checkpoints: Checkpoints) -> tuple[Curve, list[float]]:
    content = checkpoints.read()
    if content is None:
        return [], []
    tensors, description = from_bytes(content, f"of {checkpoints.key}")
    if description["key"] != checkpoints.key:
        raise CheckpointError(
            f"The checkpoint belongs to {description['key']}, not to {checkpoints.key}. "
            "Delete it to start again."
        )
    state.load(tensors, description["step"])
    return description["curve"], description["losses"]


def _save(
    state: Optimisation, checkpoints: Checkpoints, curve: Curve, losses: list[float]
) -> None:
    description: dict[str, Any] = {
        "key": checkpoints.key,
        "step": state.step_number,
        "curve": curve,
        "losses": losses,
    }
    checkpoints.write(to_bytes(state.state(), description))
