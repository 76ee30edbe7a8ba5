"""An external teacher at work: fine-tuned on the labelled images once, then asked in each step.

<cache>/teachers/<key>/teacher.safetensors
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from nas.data.batches import TrainBatches
from nas.pretrained.donor import frozen
from nas.progress import Progress
from nas.retrain.trainer import OneChild
from nas.run.context import Context
from nas.run.jobs import shown
from nas.storage import atomic_write, cache_dir, lock
from search_spaces.architecture import Architecture
from search_spaces.network import Wrap
from supernet.calibration import calibrate_on
from supernet.supervision.labels import Labels
from supernet.training.checkpoint import from_bytes, to_bytes
from supernet.training.loop import run_steps
from supernet.training.recipe import Recipe
from supernet.training.teaching import Teaching

STEPS, MOST_EPOCHS = 400, 20
RECIPE = Recipe(learning_rate=1e-3, weight_decay=0.02, drop_path=0.0, ema_decay=0.98)
"""How the teacher is fine-tuned; the data decides the epochs."""


class TeacherAtWork:
    """Answers for the supernet; see `supernet.method.ExternalTeacher`."""

    def __init__(
        self, network: nn.Module, unlabelled: TrainBatches | None, device: torch.device
    ) -> None:
        self._network = frozen(network.to(device))
        self._unlabelled = unlabelled

    def probabilities(self, images: Tensor) -> Tensor:
        """Of the classes, (B, classes)."""
        scores: Tensor = self._network(images)
        return scores.float().softmax(dim=1)

    def unlabelled(self, step: int, batch_size: int, resolution: int) -> Tensor | None:
        """Images of a step that have no labels, (B, C, R, R); None without any."""
        if self._unlabelled is None:
            return None
        return self._unlabelled.batch(step, batch_size, resolution).images


def teacher_of(context: Context, console: Progress) -> TeacherAtWork | None:
    """The teacher that the settings ask for, fine-tuned on the training images; None for none.

    Raises:
        UnknownNameError, WeightsError: it is unknown, or its weights cannot be had.
        DataError: the unlabelled images cannot be read.
    """
    teacher, unlabelled = context.load_teacher(), None
    if teacher is None:
        return None
    child = context.whole_space.decode(context.whole_space.largest())
    if context.unlabelled is not None:
        unlabelled = context.batches_of(context.unlabelled.images, context.settings.seed)
    key = _key(context, child)
    path = cache_dir() / "teachers" / key / "teacher.safetensors"
    with lock(path.parent / "lock", say=console.say):
        if path.exists():
            tensors, _ = from_bytes(path.read_bytes(), str(path))
            teacher.network.load_state_dict(tensors)
        else:
            fine_tune(context, console, teacher.network.to(context.device), child)
            state = {k: v.contiguous() for k, v in teacher.network.state_dict().items()}
            atomic_write(path, to_bytes(state, {"key": key}))
    return TeacherAtWork(teacher.network, unlabelled, context.device)


def teaching_key(context: Context) -> str | None:
    """What decides the external teacher's answers; None without one."""
    if context.settings.teacher is None:
        return None
    child = context.whole_space.decode(context.whole_space.largest())
    unlabelled = "" if context.unlabelled is None else context.unlabelled.id
    return f"{_key(context, child)} {unlabelled}"


def _key(context: Context, child: Architecture) -> str:
    parts = (
        context.teacher_digest,
        context.dataset.id,
        child.resolution,
        context.settings.seed,
        RECIPE,
        context.augmentation,
        context.data.normalisation,
        torch.__version__,
    )
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def fine_tune(
    context: Context, console: Progress, network: nn.Module, child: Architecture
) -> None:
    """Train the teacher on the labelled images, in place."""
    batches, seed = context.training_batches(context.settings.seed), context.settings.seed
    per_epoch = batches.steps_per_epoch(RECIPE.batch_size)
    epochs = min(MOST_EPOCHS, max(2, -(-STEPS // per_epoch)))
    recipe = RECIPE.model_copy(update={"epochs": epochs})

    def maps(images: Tensor, _: Architecture, wrap: Wrap) -> Iterator[tuple[str, Tensor]]:
        network.train()
        yield "scores", network(images)

    teaching = Teaching(network, maps, batches, recipe, OneChild(child), Labels(), seed)
    with console.task("fine-tuning the teacher", teaching.steps) as advance:
        run_steps(teaching, recipe, progress=shown(console, advance))
    calibrate_on(network, batches, recipe.batch_size, child.resolution)
