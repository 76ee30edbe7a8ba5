"""Networks that take turns: rounds in random order, visits, and every timed pass kept.

rounds    all networks run once in each round, in random order: a slow minute hits all alike
visits    a network runs once to warm up, then `PASSES` timed passes
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor

from nas.latency.timing.machine import Effort, Machine, Pass, preemptions
from nas.latency.timing.samples import PASSES, Samples, by_network, standard_error
from nas.progress import Progress

TITLE = "Measuring networks"


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
