"""What a training of one network or supernet needs of the process that does it.

    job(worker) -> content of the file that the training makes

A job can be pickled: it goes to a worker of a cluster, or to another process of this machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import torch

from nas.progress import Advance, Progress
from supernet.training.loop import Checkpoints, TrainingProgress
from supernet.training.parallel.workers import Workers


class Worker(Protocol):
    """The process that does a job."""

    @property
    def device(self) -> torch.device:
        """Where to train."""
        ...

    @property
    def workers(self) -> Workers:
        """The processes that share the training."""
        ...

    def shared(self, name: str) -> bytes:
        """A value that was sent along with the job."""
        ...

    def checkpoints(self, key: str) -> Checkpoints:
        """Those of the training of that name."""
        ...

    def progress(self, now: TrainingProgress) -> None:
        """To be called after each step."""
        ...

    def point(self, entry: Mapping[str, float]) -> None:
        """To be called with each point of the curve."""
        ...


Job = Callable[[Worker], bytes]


def shown(console: Progress, advance: Advance) -> Callable[[TrainingProgress], None]:
    """Shows each step of a training: the loss beside its bar, and notes as lines."""

    def show(now: TrainingProgress) -> None:
        advance(now.step, f"loss {now.loss:.3f}")
        if now.note:
            console.say(now.note)

    return show
