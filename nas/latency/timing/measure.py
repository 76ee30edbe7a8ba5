"""Measuring networks on the device at hand, with little influence of other programs.

    rounds    all networks run once in each round, in random order: a slow minute hits all alike
    visits    a network runs once to warm up, then `PASSES` timed passes
    medians   over the passes that were not interrupted, corrected for slowdowns by other programs

The corrections are in `samples.py`; what a network runs on is a `Machine` (`machine.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nas.errors import NotFittedError
from nas.latency.devices import check
from nas.latency.target import Target
from nas.latency.timing.gpu import GpuMachine
from nas.latency.timing.machine import Effort, Machine, Pass, preemptions
from nas.latency.timing.processor import Processor
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
from search_spaces.data_shape import DataShape
from search_spaces.network import build_network

Floats = NDArray[np.float64]
TITLE = "Measuring networks"


def measure_finalists(
    architectures: Sequence[Architecture],
    target: Target,
    data_shape: DataShape = DataShape(),
    *,
    effort: Effort | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    machine: Machine | None = None,
) -> Measurement:
    """Measure architectures as whole networks with new weights; see `measure_networks`."""
    networks = [build_network(a, data_shape) for a in architectures]
    shapes = [
        (target.images, data_shape.channels, side, side)
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
    machine: Machine | None = None,
) -> Measurement:
    """Measure any modules that take one tensor, in the target's runtime.

    Args:
        networks: What to measure. They end up in evaluation mode and, on a GPU, in its memory and
            in the target's precision.
        target: Runtime, precision and threads; batch and resolution are in `shapes`.

    Raises:
        MissingExtraError: the runtime, or the compiler that it needs, is not installed.
        ExportError: the runtime cannot run one of the networks.
        NotFittedError: the device is not at hand, or its memory cannot hold the networks.
    """
    progress, rng = progress or Silent(), np.random.default_rng(seed)
    machine = machine or machine_of(target)
    modules = [network.eval() for network in networks]
    with machine.ready():
        passes = machine.passes(modules, shapes, rng, progress)
    held = [(run, shape) for run, shape in zip(passes, shapes, strict=True) if run is not None]
    if not held:
        raise _too_large(target, f"none of the {len(modules)} networks")
    runs, sizes = [run for run, _ in held], [shape for _, shape in held]
    try:
        samples = interleave(runs, sizes, machine, effort or Effort(), seed, progress)
    except torch.OutOfMemoryError:  # each network alone fitted; all of them with new images do not
        raise _too_large(target, f"not all of the {len(held)} networks at once") from None
    return with_gaps(summary(samples), np.array([run is not None for run in passes]))


def machine_of(target: Target) -> Machine:
    """Where a target is measured.

    Raises:
        NotFittedError: the device is not at hand, or cannot be measured in this runtime.
    """
    if target.device == "cpu":
        return Processor(target)
    if check(target.device).kind == "gpu":
        return GpuMachine.of(target)
    raise NotFittedError(
        f"{target.device} cannot run this program, so it cannot be measured from here. Write "
        f"networks to measure there with `nas measure --kit DIR --hardware {target.device}`."
    )


def interleave(
    passes: Sequence[Pass],
    shapes: Sequence[tuple[int, ...]],
    machine: Machine,
    effort: Effort,
    seed: int,
    progress: Progress,
    *,
    clock: Callable[[], float] | None = None,
) -> list[Samples]:
    """Let all networks take turns in random order, and keep every timed pass."""
    rng, clock = np.random.default_rng(seed), clock or time.perf_counter
    seen, rounds, begin = _Visits(len(passes)), max(2, effort.most), clock()
    with machine.ready(), progress.task(TITLE, rounds * len(passes)) as advance:
        for round_ in range(rounds):
            if round_ >= max(2, effort.least) and (
                clock() - begin > effort.seconds or seen.known_to(effort.tight)
            ):
                break
            for i in rng.permutation(len(passes)):
                seen.visit(int(i), passes[i], machine.images(shapes[i], rng))
                advance(len(seen.visited), f"round {round_ + 1}")
        advance(rounds * len(passes), "done")
    return by_network(len(passes), np.array(seen.visited), seen.stamps, seen.disturbed)


class _Visits:
    """Every visit in order of time."""

    def __init__(self, networks: int) -> None:
        self._networks = networks
        self.visited: list[int] = []
        self.stamps: list[list[list[int]]] = []
        self.disturbed: list[list[bool]] = []

    def visit(self, network: int, run: Pass, images: Tensor) -> None:
        """Warm up, then keep the stamps of each pass and whether the system interrupted it."""
        run(images)
        stamps, interrupted = [], []
        for _ in range(PASSES):
            before = preemptions()
            stamps.append(run(images))
            interrupted.append(preemptions() != before)
        self.visited.append(network)
        self.stamps.append(stamps)
        self.disturbed.append(interrupted)

    def known_to(self, share: float) -> bool:
        """Whether the medians are known to this share of themselves; never for 0."""
        return bool(share) and standard_error(self._networks, self.visited, self.stamps) < share


def _too_large(target: Target, held: str) -> NotFittedError:
    return NotFittedError(
        f"The memory of {target.device} holds {held} in batches of {target.images}. Choose a "
        "smaller --batch-size, or close other programs that use its memory."
    )
