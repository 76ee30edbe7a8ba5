"""What networks are timed on: the processor (`processor.py`), a GPU (`gpu.py`), in tests a fake.

    with machine.ready():
        passes = machine.passes(networks, shapes, rng, progress)
        stamps = passes[0](machine.images(shapes[0], rng))

`measure.py` decides which network runs when and how often; a machine only runs it once and says
how long it took.
"""

from __future__ import annotations

import contextlib
import gc
import resource
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from nas.environment import torch_threads
from nas.progress import Progress

Pass = Callable[[Tensor], list[int]]
"""One forward pass. Returns nanoseconds: when it began, then when each timed piece ended."""


class Machine(Protocol):
    """Runs networks under one target's conditions and times them."""

    def ready(self) -> AbstractContextManager[None]:
        """Threads, precision and the like as the target says; restored afterwards."""

    def images(self, shape: tuple[int, ...], rng: np.random.Generator) -> Tensor:
        """New random images in the device's memory, in the target's layout."""

    def passes(
        self,
        networks: Sequence[nn.Module],
        shapes: Sequence[tuple[int, ...]],
        rng: np.random.Generator,
        progress: Progress,
    ) -> list[Pass | None]:
        """One pass per network; None for a network that does not fit into the memory."""

    def facts(self) -> dict[str, Any]:
        """What the device is: its model and whatever else a latency depends on."""

    def state(self) -> dict[str, Any]:
        """Clocks, temperature and the like, as far as they are known."""


@dataclass(frozen=True)
class Effort:
    """How long to measure: at least `least` rounds, then until `seconds` or `most` rounds.

    There are always two rounds or more, so that the repeat noise is known.
    """

    seconds: float = 30.0
    least: int = 4
    most: int = 15
    tight: float = 0.0
    """Stop as soon as the standard error of the median is below this share for nine networks in
    ten. 0 never stops early: right for a machine whose speed changes by the minute, where a short
    measurement looks more certain than it is."""


@contextlib.contextmanager
def quiet(threads: int) -> Iterator[None]:
    """Inference mode, this many threads and no garbage collection; restored afterwards."""
    collects = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        with torch_threads(threads), torch.inference_mode():
            yield
    finally:
        if collects:
            gc.enable()


def preemptions() -> int:
    """How often the system has taken a processor away from any thread of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
