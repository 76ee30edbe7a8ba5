"""How many threads torch trains on: as many as help.

Beside programs that keep the processors busy, several threads of one operation mostly wait for
each other. So a short trial compares one thread with all of them before a step that trains. What
runs side by side and never waits for each other uses all processors in any case.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from torch import nn

from nas.environment import torch_threads, usable_cpus
from nas.latency.timing.load import CALM, free_share
from nas.progress import Progress, Silent

ROUNDS = 3
"""Trials of each number of threads, in turns; the median counts."""
T = TypeVar("T")
R = TypeVar("R")

WORTH = 0.9
"""One thread is chosen if it takes less than this share of the time of all threads."""


def keep_helpful_threads(
    console: Progress,
    *,
    most: int | None = None,
    share_of: Callable[[int], float] = free_share,
    seconds_of: Callable[[int], float] | None = None,
) -> None:
    """Torch on all usable threads, or on one if others load the machine and one is faster.

    Does nothing where a person decided with OMP_NUM_THREADS.

    Args:
        console: Says which number was chosen on a busy machine.
        most: Processors that this process may use; None for those it finds.
        share_of: Share of the time of so many processors that this process gets.
        seconds_of: How long a step of training takes on so many threads.
    """
    if os.environ.get("OMP_NUM_THREADS") is not None:
        return
    most = usable_cpus() if most is None else most
    share = share_of(most) if most > 1 else 1.0
    if share >= CALM:
        torch.set_num_threads(most)
        return
    seconds = seconds_of or seconds_of_a_step
    trials = [(seconds(1), seconds(most)) for _ in range(ROUNDS)]
    one, all_ = (sorted(times)[ROUNDS // 2] for times in zip(*trials, strict=True))
    chosen = 1 if one < WORTH * all_ else most
    torch.set_num_threads(chosen)
    faster = one / all_ if chosen == most else all_ / one
    console.say(
        f"Other programs keep the processors busy, {share:.0%} of their time is free: running on "
        f"{chosen} thread(s), {faster:.2g} times as fast now as on {1 if chosen == most else most}"
    )


class HelpfulThreads:
    """Looks again from time to time, because other programs come and go.

    Args:
        every: Seconds between two looks.
        keep: Chooses the number of threads.
        clock: Returns the present time in seconds.
    """

    def __init__(
        self,
        every: float = 60.0,
        keep: Callable[[Progress], None] = keep_helpful_threads,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._every, self._keep, self._clock = every, keep, clock
        self._looked = clock()
        self._said = False

    def look(self, console: Progress) -> None:
        """Choose the number of threads, if it is time; the first other one is said."""
        if self._clock() - self._looked < self._every:
            return
        before = torch.get_num_threads()
        self._keep(Silent())
        self._looked = self._clock()
        threads = torch.get_num_threads()
        if threads != before and not self._said:
            console.say(f"now on {threads} thread(s): the number follows what other programs use")
            self._said = True


def networks_at_once(device: torch.device) -> int:
    """How many networks to evaluate or train at once, on a thread each.

    As many as there are processors, or as many as a person decided with OMP_NUM_THREADS. A GPU
    takes one after the other.
    """
    if device.type != "cpu":
        return 1
    decided = os.environ.get("OMP_NUM_THREADS") is not None
    return torch.get_num_threads() if decided else usable_cpus()


def each_of(networks: Sequence[T], apply: Callable[[T], R], device: torch.device) -> list[R]:
    """What `apply` makes of each network, in their order; several at once on a processor.

    Args:
        networks: Whatever stands for them.
        apply: Runs one; several threads call it at once, and torch has one thread in each.
        device: Where the networks run.
    """
    threads = min(networks_at_once(device), len(networks))
    if threads <= 1:
        return [apply(each) for each in networks]
    with (
        torch_threads(1),
        ThreadPoolExecutor(threads, initializer=lambda: torch.set_num_threads(1)) as pool,
    ):
        return list(pool.map(apply, networks))


def seconds_of_a_step(threads: int) -> float:
    """How long two steps of a small convolutional network take on so many threads."""
    with torch_threads(threads):
        network = nn.Sequential(
            nn.Conv2d(3, 32, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(32, 32, 3, padding=1, groups=32),
            nn.GELU(),
            nn.Conv2d(32, 32, 1),
        )
        images = torch.zeros(64, 3, 16, 16)
        network(images)  # the threads start
        begin = time.perf_counter()
        for _ in range(2):
            network(images).sum().backward()
        return time.perf_counter() - begin
