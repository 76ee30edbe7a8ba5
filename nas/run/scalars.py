"""A training's curves for TensorBoard, beside its checkpoint.

    <cache>/supernets/<key>/tensorboard/        shown by: tensorboard --logdir <cache>/supernets

`--recipe tensorboard=true` asks for them. A training that goes on from a checkpoint hides what an
earlier process wrote for the steps after it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nas.errors import missing_extra
from supernet.training.loop import TrainingProgress

OF_EVERY_STEP = ("epoch", "loss")
"""Names in the training curve that say nothing new: every step has its number and its loss."""


class Scalars:
    """Writes the loss of each step and the numbers of the training curve; closed by `with`.

    Args:
        writer: Makes a `SummaryWriter` for the steps from this one on; None to write nothing.
    """

    def __init__(self, writer: Callable[[int], Any] | None = None) -> None:
        self._make, self._step = writer, 0
        self._writer: Any = None

    def __enter__(self) -> Scalars:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def progress(self, now: TrainingProgress) -> None:
        """To be called after each step."""
        if self._make is None:
            return
        if self._writer is None:
            self._writer = self._make(now.step)
        self._step = now.step
        self._writer.add_scalar("loss", now.loss, now.step)

    def point(self, entry: Mapping[str, float]) -> None:
        """To be called with each point of the curve, after the step that it belongs to."""
        if self._writer is None:
            return
        for name, value in entry.items():
            if name not in OF_EVERY_STEP:
                self._writer.add_scalar(name, value, self._step)


def scalars_in(folder: Path) -> Scalars:
    """Scalars that are written into a folder.

    Raises:
        MissingExtraError: TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise missing_extra("tensorboard", "tensorboard", "tensorboard=true") from None
    return Scalars(lambda step: SummaryWriter(str(folder), purge_step=step))
