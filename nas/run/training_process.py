"""The program of a process that does one training; `side_by_side.py` starts it.

The order comes pickled on stdin, from the process that started this one. Messages go to stdout,
one JSON line each:

    {"step": 12, "steps": 400, "loss": 1.93}
    {"error": ["DataError", "..."]}

The trained network is in `Order.trained` when the process ends with status 0. The process ends
when its stdin ends, so it does not outlive its parent.
"""

from __future__ import annotations

import json
import os
import pickle
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import torch

from nas.errors import NasError
from nas.run.jobs import Job
from nas.run.supernets import checkpoints_at
from nas.storage import atomic_write
from supernet.training.loop import CHECKPOINT, Checkpoints, TrainingProgress
from supernet.training.parallel.workers import Alone, Workers

SHOWN_EVERY = 0.5
"""Seconds between two messages about the progress."""


@dataclass(frozen=True)
class Order:
    """One training."""

    job: Job
    shared: Mapping[str, bytes]
    """Values for the job, by name."""
    folder: Path
    """Where it keeps its checkpoint."""
    steps: int
    """How many there are, for the progress."""
    title: str
    """What a person sees."""

    @property
    def trained(self) -> Path:
        """The file that the job makes."""
        return self.folder / "trained.safetensors"

    @property
    def checkpoint(self) -> Path:
        """Where a stopped training goes on."""
        return self.folder / CHECKPOINT

    def clear(self) -> None:
        """Remove both, once the network is kept."""
        self.trained.unlink(missing_ok=True)
        self.checkpoint.unlink(missing_ok=True)


@dataclass
class ProcessWorker:
    """A worker that tells its parent how far it is."""

    order: Order
    answers: TextIO
    device: torch.device = torch.device("cpu")
    workers: Workers = field(default_factory=Alone)
    told: float = 0.0

    def shared(self, name: str) -> bytes:
        """From the order."""
        return self.order.shared[name]

    def checkpoints(self, key: str) -> Checkpoints:
        """In the order's folder."""
        return checkpoints_at(self.order.checkpoint, key)

    def progress(self, now: TrainingProgress) -> None:
        """Tell the parent, not too often."""
        if time.monotonic() - self.told >= SHOWN_EVERY:
            self.told = time.monotonic()
            tell(self.answers, {"step": now.step, "steps": now.steps, "loss": now.loss})

    def point(self, entry: Mapping[str, float]) -> None:
        """Nobody is told."""


def tell(answers: TextIO, message: Mapping[str, object]) -> None:
    """Send one message."""
    answers.write(json.dumps(message) + "\n")
    answers.flush()


def end_with_parent() -> None:
    """End this process when the parent's end of its stdin is closed."""

    def watch() -> None:
        while os.read(0, 1):  # not through `sys.stdin`, whose lock the end of the program needs
            pass
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def main() -> None:
    """Do one order."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print goes to stderr
    order: Order = pickle.load(sys.stdin.buffer)
    end_with_parent()
    try:
        content = order.job(ProcessWorker(order, answers))
    except NasError as error:
        tell(answers, {"error": [type(error).__name__, str(error)]})
        raise SystemExit(1) from None
    atomic_write(order.trained, content)


if __name__ == "__main__":
    main()
