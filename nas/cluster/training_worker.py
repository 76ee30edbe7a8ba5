"""What a worker of a training does: Ray starts it, and the job knows nothing of Ray.

    job(worker) -> content of the file that the training makes

The first worker writes checkpoints. The last one it writes holds the finished file, so that a
training that ended is not done again, even if nobody was there to see its end.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from nas.cluster.connection import ray_module
from supernet.training.loop import CHECKPOINT, CHECKPOINT_SECONDS, Checkpoints, TrainingProgress
from supernet.training.parallel.workers import Alone, Workers

FINISHED = "finished.safetensors"
_SHOWN_EVERY = 0.5
"""Seconds between two messages about the progress."""


@dataclass(frozen=True)
class Worker:
    """What a job gets: the other workers, the checkpoints, and someone to tell."""

    workers: Workers
    teller: Teller
    shared: Callable[[str], Any]
    """Values that the driver shares with all workers, by name."""
    device: torch.device
    seconds: float
    """Between two checkpoints."""

    def checkpoints(self, key: str) -> Checkpoints:
        """Those of the training of that name."""
        return Checkpoints(key, _read, self._write, self.seconds)

    def progress(self, now: TrainingProgress) -> None:
        """To be called after each step."""
        self.teller.progress(now)

    def point(self, entry: Mapping[str, float]) -> None:
        """To be called by every worker with each point of the curve."""
        self.teller.report(entry)

    def _write(self, content: bytes) -> None:
        self.teller.report({}, CHECKPOINT, content if self.workers.leads else None)


Job = Callable[[Worker], bytes]
"""A training. It must be picklable; all workers call it, and the first one's result counts."""


@dataclass(frozen=True)
class Orders:
    """What the driver tells each worker."""

    name: str
    job: Job
    mailbox: Any
    """Takes messages to the driver."""
    shared: Mapping[str, Any]
    """References of shared values."""
    gpus: bool = False
    """Whether workers have GPUs."""
    apart: bool = False
    """Whether each worker runs children of its own."""
    seconds: float = CHECKPOINT_SECONDS
    """Between two checkpoints."""


def work(config: Mapping[str, Orders]) -> None:
    """Do the job, in every worker; ends with a checkpoint that holds the finished file."""
    ray, orders = ray_module(), config["orders"]
    if _read(FINISHED) is not None:
        return
    workers = _workers(orders.apart)
    worker = Worker(
        workers=workers,
        teller=Teller(orders, workers),
        shared=lambda name: ray.get(orders.shared[name]),
        device=_device(orders.gpus),
        seconds=orders.seconds,
    )
    worker.teller.begin()
    content = orders.job(worker)
    worker.teller.finished()
    worker.teller.report({}, FINISHED, content if workers.leads else None)


def _read(name: str = CHECKPOINT) -> bytes | None:
    """A file of the last checkpoint; None without one."""
    from ray import train

    last = train.get_checkpoint()
    if last is None:
        return None
    with last.as_directory() as folder:
        path = Path(folder) / name
        return path.read_bytes() if path.exists() else None


def _workers(apart: bool) -> Workers:
    """The process among the others, whose group Ray has set up."""
    from ray import train

    if train.get_context().get_world_size() == 1:
        return Alone()
    from supernet.training.parallel.apart import Apart
    from supernet.training.parallel.together import Together

    return Apart() if apart else Together()


def _device(gpus: bool) -> torch.device:
    """The device that Ray gave to this worker."""
    if not gpus:
        return torch.device("cpu")
    from ray.train.torch import get_device

    device: torch.device = get_device()
    torch.cuda.set_device(device)
    return device


class Teller:
    """Tells Ray about checkpoints and the curve, and the driver how far the training is."""

    def __init__(self, orders: Orders, workers: Workers) -> None:
        self._orders, self._leads = orders, workers.leads
        self._told = 0.0
        self._metrics = {"epoch": 0.0, "accuracy": 0.0}  # schedulers want both in every report

    def begin(self) -> None:
        """Tell the driver how many workers there are; tell Ray, whose controller then answers."""
        from ray import train
        from ray.util import get_current_placement_group

        if self._leads:
            self._send("room", get_current_placement_group())
            self._send("workers", train.get_context().get_world_size())
        self.report({})

    def progress(self, now: TrainingProgress) -> None:
        """Tell the driver, not too often."""
        if self._leads and (now.note or time.monotonic() - self._told >= _SHOWN_EVERY):
            self._send("progress", now)
            self._told = time.monotonic()

    def finished(self) -> None:
        """Tell the driver that only the last report is left."""
        if self._leads:
            self._send("finished", None)

    def report(
        self, metrics: Mapping[str, float], name: str = "", content: bytes | None = None
    ) -> None:
        """Tell Ray; every worker has to call it at the same moment.

        Args:
            metrics: Numbers that have changed.
            name: The file of the checkpoint, if this is about one.
            content: Its content, from the first worker alone.
        """
        from ray import train

        self._metrics |= metrics
        if content is None:
            train.report(dict(self._metrics))
            return
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / name).write_bytes(content)
            checkpoint = train.Checkpoint.from_directory(folder)
            train.report(dict(self._metrics), checkpoint=checkpoint)

    def _send(self, kind: str, value: object) -> None:
        # Not waited for: a mailbox that died with its driver must not hold up the training.
        self._orders.mailbox.put.remote((self._orders.name, kind, value))
