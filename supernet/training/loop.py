"""The loop of every training: steps by number, validation, checkpoints to continue from.

A step depends on the seed, its number and the state before it; a checkpoint holds all three. So an
interrupted training continues to exactly the weights that it would have had.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from search_spaces.errors import CheckpointError
from supernet.training.checkpoint import from_bytes, to_bytes
from supernet.training.optimisation import Optimisation
from supernet.training.recipe import Recipe
from supernet.training.teaching import Teaching

CHECKPOINT = "checkpoint.safetensors"
"""The usual name of the file that a stopped training goes on from."""
CHECKPOINT_SECONDS = 20.0
CURVE_POINTS = 20

Curve = list[dict[str, float]]
Validate = Callable[[], Mapping[str, float]]


@dataclass(frozen=True)
class TrainingProgress:
    """The state of a training, reported after each step."""

    step: int
    steps: int
    loss: float
    note: str = ""
    """What a person should be told about this step, such as memory that did not suffice."""


@dataclass(frozen=True)
class Checkpoints:
    """Reads and writes the checkpoints of a training.

    Args:
        key: Name of the training; a checkpoint of another key is refused.
        read: Returns the last checkpoint's bytes, None at the start.
        write: Stores the bytes, completely or not at all. Every worker calls it at the same step;
            those that do not lead have no bytes to store.
        seconds: The shortest time between two checkpoints; it does not change the result.
        clock: Returns the present time in seconds.
        place: Where they are kept, for a person who reads that one is refused.
    """

    key: str
    read: Callable[[], bytes | None]
    write: Callable[[bytes], None]
    seconds: float = CHECKPOINT_SECONDS
    clock: Callable[[], float] = time.monotonic
    place: str = "the checkpoint"


def run_steps(
    teaching: Teaching,
    recipe: Recipe,
    *,
    validate: Validate | None = None,
    checkpoints: Checkpoints | None = None,
    progress: Callable[[TrainingProgress], None] | None = None,
    point: Callable[[Mapping[str, float]], None] | None = None,
) -> Curve:
    """Train a network in place; at the end its weights are their moving averages.

    Args:
        teaching: Computes the gradients of each step.
        recipe: Number of epochs, batch size and rates.
        validate: Called with the averaged weights in place, after each of about 20 epochs.
        checkpoints: Reads the last checkpoint and writes new ones.
        progress: Called after each step.
        point: Called with each new entry of the curve, by every worker.

    Returns:
        One entry per validated epoch: `epoch`, the means of what `Teaching.step` returned,
        the results of `validate`.
    """
    workers = teaching.workers
    training = _Training(teaching, Optimisation(teaching.parameters(), recipe, teaching.steps))
    if checkpoints is not None:
        training.load(checkpoints)
        saved = checkpoints.clock()
    training.align()
    while training.step_number < teaching.steps:
        loss = training.step()
        if progress is not None:
            note = "; ".join(teaching.notes)
            progress(TrainingProgress(training.step_number, teaching.steps, loss, note))
        teaching.notes.clear()
        if training.at_curve_point(recipe.epochs):
            training.add_curve_point(validate if workers.leads else None)
            if point is not None:
                point(training.curve[-1])
        if checkpoints is not None and training.step_number < teaching.steps:
            now = checkpoints.clock()
            if workers.agree(now - saved >= checkpoints.seconds):
                checkpoints.write(training.to_bytes(checkpoints.key) if workers.leads else b"")
                saved = now
    training.optimisation.adopt_averages()
    return training.curve


@dataclass
class _Training:
    """A training at work."""

    teaching: Teaching
    optimisation: Optimisation
    curve: Curve = field(default_factory=list)
    measured: dict[str, list[float]] = field(default_factory=dict)
    """Loss and cosines of the steps since the last point of the curve."""

    @property
    def step_number(self) -> int:
        """How many steps are done."""
        return self.optimisation.step_number

    def step(self) -> float:
        """Take one step; returns its loss."""
        measured = self.teaching.step(self.step_number, self.optimisation.update)
        self.optimisation.step_number += 1
        for name, value in measured.items():
            self.measured.setdefault(name, []).append(value)
        return measured["loss"]

    def at_curve_point(self, epochs: int) -> bool:
        """Whether the last step ended an epoch that the curve shows."""
        epoch, rest = divmod(self.step_number, self.teaching.steps_per_epoch)
        every = max(1, epochs // CURVE_POINTS)
        return rest == 0 and (epoch % every == 0 or epoch == epochs)

    def add_curve_point(self, validate: Validate | None) -> None:
        """Add the epoch, the means over its steps, and the scores of the averaged weights."""
        epoch = self.step_number // self.teaching.steps_per_epoch
        entry = {"epoch": float(epoch)}
        entry |= {name: sum(values) / len(values) for name, values in self.measured.items()}
        self.measured.clear()
        if validate is not None:
            self.optimisation.swap_averages()
            try:
                entry |= validate()
            finally:
                self.optimisation.swap_averages()
        self.curve.append(entry)

    def align(self) -> None:
        """Give all workers the weights, averages and buffers of the first one."""
        parts = (
            self.optimisation.parameters,
            self.optimisation.averages,
            self.teaching.memory()[0],
        )
        self.teaching.workers.align([tensor for part in parts for tensor in part.values()])

    def to_bytes(self, key: str) -> bytes:
        """A checkpoint."""
        buffers, sampler = self.teaching.memory()
        description: dict[str, Any] = {
            "key": key,
            "step": self.step_number,
            "curve": self.curve,
            "measured": self.measured,
            "sampler": sampler,
            "micro_batch": self.teaching.memory_plan.images,
        }
        return to_bytes({**self.optimisation.state(), **buffers}, description)

    def load(self, checkpoints: Checkpoints) -> None:
        """Continue from the last checkpoint, if there is one."""
        content = checkpoints.read()
        if content is None:
            return
        tensors, description = from_bytes(content, f"of {checkpoints.key}")
        if description["key"] != checkpoints.key:
            raise CheckpointError(
                f"A training with other settings was stopped here, and its checkpoint is kept. "
                f"Give the same settings to continue it, or delete {checkpoints.place} to start "
                "anew."
            )
        self.optimisation.load(tensors, description["step"])
        self.teaching.remember(tensors, description["sampler"])
        self.teaching.memory_plan.images = description["micro_batch"]
        self.curve, self.measured = description["curve"], description["measured"]
