"""The processor at hand as a `Machine`, for whole networks and for networks timed part by part.

Parts are timed while their network runs, never alone: repeated in a loop, a part finds its
weights and its input in the nearest cache, which does not happen inside a network.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nas.latency.devices import fingerprint
from nas.latency.target import Target
from nas.latency.timing.machine import Pass, quiet
from nas.latency.timing.runtimes import Prepared, prepare_all
from nas.progress import Progress


class Processor:
    """Times networks on the processor at hand."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def ready(self) -> AbstractContextManager[None]:
        """Inference with the target's threads and without garbage collection."""
        return quiet(self._target.thread_count)

    def images(self, shape: tuple[int, ...], rng: np.random.Generator) -> Tensor:
        """New random images; (B, C, H, W) ones are channels-last."""
        x = torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))
        return x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x

    def passes(
        self,
        networks: Sequence[nn.Module],
        shapes: Sequence[tuple[int, ...]],
        rng: np.random.Generator,
        progress: Progress,
    ) -> list[Pass | None]:
        """Each network in the target's runtime, timed in one piece."""
        examples = [self.images(shape, rng) for shape in shapes]
        return [*map(network_pass, prepare_all(networks, examples, self._target, progress))]

    def facts(self) -> dict[str, Any]:
        """The processor's model, and how its threads wait."""
        return fingerprint()

    def state(self) -> dict[str, Any]:
        """Empty: other programs on the processor show in the timed passes."""
        return {}


def network_pass(network: Prepared) -> Pass:
    """A network timed in one piece."""

    def run(x: Tensor) -> list[int]:
        begin = time.perf_counter_ns()
        network(x)
        return [begin, time.perf_counter_ns()]

    return run


def chain_pass(parts: Sequence[nn.Module]) -> Pass:
    """A network given as its parts, each of which is timed."""

    def run(x: Tensor) -> list[int]:
        stamps = [time.perf_counter_ns()]
        for part in parts:
            x = part(x)
            stamps.append(time.perf_counter_ns())
        return stamps

    return run
