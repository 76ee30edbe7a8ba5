"""Measuring on the device at hand, so that what else happens there does as little as possible.

Networks take turns in random order over several rounds, so that a slow minute falls on all of
them; each visit runs once to warm up and then a few timed passes. Passes during which the system
took a processor away are left out where enough others remain, and what slows all of them alike
for a while is taken out (`drift.py`). What counts is the median.

What networks are timed on is a `Machine`: the processor (`Processor`) or a GPU
(`gpu/machine.py`).

A network can be timed part by part while it runs. Parts are not timed alone: repeated in a loop
a part finds its weights and its input in the nearest cache, which it never does in a network.
"""

from __future__ import annotations

import contextlib
import gc
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nas.environment import torch_threads
from nas.errors import NotFittedError
from nas.latency.devices import check
from nas.latency.target import Target
from nas.latency.timing.runtimes import Prepared, prepare_all
from nas.latency.timing.samples import (
    PASSES,
    Measurement,
    Samples,
    by_network,
    standard_error,
    summary,
    with_gaps,
)
from nas.progress import Progress, Silent
from search_spaces.architecture import Architecture
from search_spaces.network import build_network

Floats = NDArray[np.float64]
Pass = Callable[[Tensor], list[int]]
"""One forward pass; nanoseconds when it began and when each piece of it ended."""


class Machine(Protocol):
    """What networks are timed on, under one target's conditions."""

    def ready(self) -> AbstractContextManager[None]:
        """Meanwhile all is set as the target says; put back afterwards."""

    def images(self, shape: tuple[int, ...], rng: np.random.Generator) -> Tensor:
        """New random images, where and how the target's networks take them."""

    def passes(
        self,
        networks: Sequence[nn.Module],
        shapes: Sequence[tuple[int, ...]],
        rng: np.random.Generator,
        progress: Progress,
    ) -> list[Pass | None]:
        """Each network, ready to be timed as a whole; None where the memory does not hold it."""

    def state(self) -> dict[str, Any]:
        """Clocks, temperature and the like, as far as they are known."""


@dataclass(frozen=True)
class Effort:
    """How long to measure: at least `least` rounds, then until `seconds` or `most` rounds.

    There are two rounds at the least, so that repeat noise is known.
    """

    seconds: float = 30.0
    least: int = 4
    most: int = 15
    tight: float = 0.0
    """Where the medians of nine networks in ten are known to this share (their standard error),
    measuring ends at once. 0: never, for a machine whose speed changes by the minute, and where a
    short time looks surer than it is."""


def measure_finalists(
    architectures: Sequence[Architecture],
    target: Target,
    in_channels: int = 3,
    num_classes: int = 10,
    *,
    effort: Effort | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    machine: Machine | None = None,
) -> Measurement:
    """Measure architectures as whole networks with fresh weights, on the device at hand."""
    networks = [build_network(a, in_channels, num_classes) for a in architectures]
    shapes = [
        (target.images, in_channels, side, side)
        for side in (target.resolution or a.resolution for a in architectures)
    ]
    return measure_networks(
        networks, shapes, target, effort=effort, seed=seed, progress=progress, machine=machine
    )


def measure_networks(
    networks: Sequence[nn.Module],
    shapes: Sequence[tuple[int, ...]],
    target: Target,
    *,
    effort: Effort | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    what: str = "Measuring networks",
    machine: Machine | None = None,
) -> Measurement:
    """Measure any modules that take one tensor, in the target's runtime.

    Args:
        networks: What to measure; left in evaluation mode, and on a GPU left there, in the
            target's precision.
        shapes: Shape of each one's input.
        target: Runtime, precision and threads; batch and resolution are in `shapes`.
        effort: How long to measure, once all networks are prepared.
        seed: Of the order of visits and of the inputs.
        progress: Who is told.
        what: What they are told.
        machine: What to measure on; by default the one that the target names.

    Raises:
        MissingExtraError: the runtime, or the compiler that it needs, is not installed.
        ExportError: the runtime cannot run one of the networks.
        NotFittedError: the device is not at hand, or its memory does not hold the networks.
    """
    progress, rng = progress or Silent(), np.random.default_rng(seed)
    machine = machine or machine_of(target)
    modules = [network.eval() for network in networks]
    with machine.ready():
        passes = machine.passes(modules, shapes, rng, progress)
    held = [(run, shape) for run, shape in zip(passes, shapes, strict=True) if run is not None]
    if not held:
        raise _too_large(target, "none of", len(modules))
    runs, sizes = [run for run, _ in held], [shape for _, shape in held]
    try:
        samples = interleave(runs, sizes, machine, effort or Effort(), seed, progress, what)
    except torch.OutOfMemoryError:  # each alone was held, all of them and new images are not
        raise _too_large(target, "not all of", len(held)) from None
    return with_gaps(summary(samples), np.array([run is not None for run in passes]))


def _too_large(target: Target, held: str, networks: int) -> NotFittedError:
    return NotFittedError(
        f"The memory of {target.device} holds {held} the {networks} networks in batches of "
        f"{target.images}. Choose a smaller --batch-size, or close what else uses it."
    )


def machine_of(target: Target) -> Machine:
    """What a target is measured on.

    Raises:
        NotFittedError: it is not at hand, or cannot be measured in this runtime.
    """
    if target.device == "cpu":
        return Processor(target)
    if check(target.device).kind != "gpu":
        raise NotFittedError(
            f"{target.device} cannot host this program, so it cannot be measured from here. Write "
            f"networks to measure there with `nas measure --kit DIR --hardware {target.device}`."
        )
    from nas.latency.timing.gpu import GpuMachine  # needed by few

    return GpuMachine.of(target)


class Processor:
    """The processor at hand."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def ready(self) -> AbstractContextManager[None]:
        """Inference with the target's threads and without garbage collection."""
        return quiet(self._target.thread_count)

    def images(self, shape: tuple[int, ...], rng: np.random.Generator) -> Tensor:
        """New random images, maps channels-last."""
        x = torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))
        return x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x

    def passes(
        self,
        networks: Sequence[nn.Module],
        shapes: Sequence[tuple[int, ...]],
        rng: np.random.Generator,
        progress: Progress,
    ) -> list[Pass | None]:
        """Each network in the target's runtime."""
        examples = [self.images(shape, rng) for shape in shapes]
        return [*map(whole_pass, prepare_all(networks, examples, self._target, progress))]

    def state(self) -> dict[str, Any]:
        """Nothing: what else runs shows in the passes."""
        return {}


def interleave(
    passes: Sequence[Pass],
    shapes: Sequence[tuple[int, ...]],
    machine: Machine,
    effort: Effort,
    seed: int,
    progress: Progress,
    what: str,
) -> list[Samples]:
    """Let everything take turns in random order, and keep every timed pass."""
    rng = np.random.default_rng(seed)
    visited: list[int] = []
    stamps: list[list[list[int]]] = []
    disturbed: list[list[bool]] = []
    begin, rounds = time.perf_counter(), max(2, effort.most)
    with machine.ready(), progress.task(what, rounds * len(passes)) as advance:
        for round_ in range(rounds):
            if round_ >= max(2, effort.least) and (
                time.perf_counter() - begin > effort.seconds
                or (effort.tight and standard_error(len(passes), visited, stamps) < effort.tight)
            ):
                break
            for i in rng.permutation(len(passes)):
                times, preempted = _visit(passes[i], machine.images(shapes[i], rng))
                visited.append(int(i))
                stamps.append(times)
                disturbed.append(preempted)
                advance(len(visited), f"round {round_ + 1}")
        advance(rounds * len(passes), "done")
    return by_network(len(passes), np.array(visited), stamps, disturbed)


def preemptions() -> int:
    """How often the system has taken a processor away from any thread of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


@contextlib.contextmanager
def quiet(threads: int) -> Iterator[None]:
    """Inference with the target's threads and without garbage collection; all put back."""
    collects = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        with torch_threads(threads), torch.inference_mode():
            yield
    finally:
        if collects:
            gc.enable()


def _visit(run: Pass, x: Tensor) -> tuple[list[list[int]], list[bool]]:
    """Stamps of each timed pass, and whether it was disturbed."""
    run(x)
    times, preempted = [], []
    for _ in range(PASSES):
        before = preemptions()
        times.append(run(x))
        preempted.append(preemptions() != before)
    return times, preempted


def chain_pass(parts: Sequence[nn.Module]) -> Pass:
    """A network as its parts one after the other, each of them timed."""

    def run(x: Tensor) -> list[int]:
        stamps = [time.perf_counter_ns()]
        for part in parts:
            x = part(x)
            stamps.append(time.perf_counter_ns())
        return stamps

    return run


def whole_pass(network: Prepared) -> Pass:
    """A network as one piece."""

    def run(x: Tensor) -> list[int]:
        begin = time.perf_counter_ns()
        network(x)
        return [begin, time.perf_counter_ns()]

    return run
