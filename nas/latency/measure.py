"""Measuring on the processor at hand, so that what else happens there does as little as possible.

Networks take turns in random order over several rounds, so that a slow minute falls on all of
them; each visit runs once to warm up and then a few timed passes. Passes during which the system
took a processor away are left out where enough others remain, and what slows all of them alike
for a while is taken out (`drift.py`). What counts is the median.

A network can be timed part by part while it runs. Parts are not timed alone: repeated in a loop
a part finds its weights and its input in the nearest cache, which it never does in a network.
"""

from __future__ import annotations

import contextlib
import gc
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nas.latency.drift import drift_of
from nas.latency.runtimes import Prepared, prepare_all
from nas.latency.target import Target
from nas.progress import Progress, Silent
from search_spaces.architecture import Architecture
from search_spaces.network import build_network

Floats = NDArray[np.float64]
Pass = Callable[[Tensor], list[int]]
"""One forward pass; nanoseconds when it began and when each piece of it ended."""

PASSES = 3
"""Timed passes of one visit, after one that warms up."""
CALM_SHARE = 0.25
"""Of all passes, how many undisturbed ones there must be for the others to be left out."""


@dataclass(frozen=True)
class Effort:
    """How long to measure: at least `least` rounds, then until `seconds` or `most` rounds.

    There are two rounds at the least, so that repeat noise is known.
    """

    seconds: float = 30.0
    least: int = 4
    most: int = 15


@dataclass(frozen=True)
class Samples:
    """All timed passes of one network, in order of time."""

    ms: Floats
    """Milliseconds as they were, (passes, pieces)."""
    disturbed: NDArray[np.bool_]
    """During which passes the system took a processor away, (passes,)."""
    drift: Floats
    """Logarithm of the machine's slowness at each pass, (passes,)."""

    def typical(self) -> Floats:
        """Median of each piece over the calm passes, at the machine's typical speed, (pieces,)."""
        return np.asarray(np.median(self._calm(), axis=0), dtype=np.float64)

    def total(self) -> float:
        """Median of a whole pass, at the machine's typical speed."""
        return float(np.median(self._calm().sum(axis=1)))

    def spread(self) -> float:
        """Distance between the quartiles of whole passes over their median."""
        low, middle, high = np.percentile(self._calm().sum(axis=1), [25, 50, 75])
        return float((high - low) / middle)

    def quarters(self) -> list[float]:
        """Medians of a whole pass in each quarter of the time, at the machine's speed then."""
        groups = np.array_split(np.arange(len(self.ms)), 4)
        return [
            Samples(self.ms[g], self.disturbed[g], np.zeros(len(g))).total()
            for g in groups
            if len(g)
        ]

    def _calm(self) -> Floats:
        steady = self.ms / np.exp(self.drift)[:, None]
        calm = steady[~self.disturbed]
        enough = max(1, int(len(self.ms) * CALM_SHARE))
        if len(calm) >= enough:
            return calm
        # A busy machine: what is nearest to undisturbed are the fastest passes.
        return steady[np.argsort(steady.sum(axis=1))[:enough]]


@dataclass(frozen=True)
class Measurement:
    """Whole networks, measured: each array is (n,)."""

    ms: Floats
    spread: Floats
    """Distance between the quartiles over the median."""
    quarters_ms: Floats
    """Medians in each quarter of the time, at the machine's speed then, (n, 4)."""
    rounds: int
    disturbed: float
    """Share of passes during which the system took a processor away."""
    drift: float
    """How much slower than its fastest the machine was at times: 95th over 5th percentile - 1."""

    @property
    def repeat_noise(self) -> float:
        """How far two measurements of one network are typically apart, as a share.

        Taken from the first and the second half of the time.
        """
        halves = np.log(self.quarters_ms).reshape(len(self.ms), 2, -1).mean(axis=2)
        return float(np.median(np.abs(halves[:, 0] - halves[:, 1])))


def measure_finalists(
    architectures: Sequence[Architecture],
    target: Target,
    in_channels: int = 3,
    num_classes: int = 10,
    *,
    effort: Effort | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Measurement:
    """Measure architectures as whole networks with fresh weights, on the processor at hand."""
    networks = [build_network(a, in_channels, num_classes) for a in architectures]
    shapes = [
        (target.images, in_channels, side, side)
        for side in (target.resolution or a.resolution for a in architectures)
    ]
    return measure_networks(networks, shapes, target, effort=effort, seed=seed, progress=progress)


def measure_networks(
    networks: Sequence[nn.Module],
    shapes: Sequence[tuple[int, ...]],
    target: Target,
    *,
    effort: Effort | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    what: str = "Measuring networks",
) -> Measurement:
    """Measure any modules that take one tensor, in the target's runtime.

    Args:
        networks: What to measure; left in evaluation mode.
        shapes: Shape of each one's input.
        target: Runtime and threads; batch and resolution are in `shapes`.
        effort: How long to measure, once all networks are prepared.
        seed: Of the order of visits and of the inputs.
        progress: Who is told.
        what: What they are told.

    Raises:
        MissingExtraError: the runtime, or the compiler that it needs, is not installed.
        ExportError: the runtime cannot run one of the networks.
    """
    progress, rng = progress or Silent(), np.random.default_rng(seed)
    modules = [network.eval() for network in networks]
    with quiet(target.thread_count):
        examples = [_random_input(shape, rng) for shape in shapes]
        prepared = prepare_all(modules, examples, target, progress)
    passes = [whole_pass(network) for network in prepared]
    samples = interleave(passes, shapes, target, effort or Effort(), seed, progress, what)
    return summary(samples)


def summary(samples: Sequence[Samples]) -> Measurement:
    """What whole passes took."""
    low, high = np.percentile(np.concatenate([s.drift for s in samples]), [5, 95])
    return Measurement(
        ms=np.array([s.total() for s in samples], dtype=np.float64),
        spread=np.array([s.spread() for s in samples], dtype=np.float64),
        quarters_ms=np.array([s.quarters() for s in samples], dtype=np.float64),
        rounds=len(samples[0].ms) // PASSES,
        disturbed=float(np.mean([s.disturbed.mean() for s in samples])),
        drift=float(np.expm1(high - low)),
    )


def interleave(
    passes: Sequence[Pass],
    shapes: Sequence[tuple[int, ...]],
    target: Target,
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
    with quiet(target.thread_count), progress.task(what, rounds * len(passes)) as advance:
        for round_ in range(rounds):
            if round_ >= max(2, effort.least) and time.perf_counter() - begin > effort.seconds:
                break
            for i in rng.permutation(len(passes)):
                times, preempted = _visit(passes[i], _random_input(shapes[i], rng))
                visited.append(int(i))
                stamps.append(times)
                disturbed.append(preempted)
                advance(len(visited), f"round {round_ + 1}")
        advance(rounds * len(passes), "done")
    return _by_network(len(passes), np.array(visited), stamps, disturbed)


def preemptions() -> int:
    """How often the system has taken a processor away from any thread of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


@contextlib.contextmanager
def quiet(threads: int) -> Iterator[None]:
    """Inference with the target's threads and without garbage collection; all put back."""
    collects, before = gc.isenabled(), torch.get_num_threads()
    gc.collect()
    gc.disable()
    torch.set_num_threads(threads)
    try:
        with torch.inference_mode():
            yield
    finally:
        torch.set_num_threads(before)
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


def _by_network(
    n: int,
    visited: NDArray[np.int64],
    stamps: list[list[list[int]]],
    disturbed: list[list[bool]],
) -> list[Samples]:
    """Passes of all visits, sorted by network, with the machine's drift worked out."""
    pieces = [np.diff(np.array(s, dtype=np.float64), axis=1) / 1e6 for s in stamps]
    drift = drift_of(np.array([np.median(p.sum(axis=1)) for p in pieces]), visited)
    found = []
    for i in range(n):
        visits = np.flatnonzero(visited == i)
        found.append(
            Samples(
                np.concatenate([pieces[v] for v in visits]),
                np.concatenate([disturbed[v] for v in visits]),
                np.repeat(drift[visits], PASSES),
            )
        )
    return found


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


def _random_input(shape: tuple[int, ...], rng: np.random.Generator) -> Tensor:
    x = torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))
    return x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x
