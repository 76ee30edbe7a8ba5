"""Whether other programs keep the processors busy.

free_share(2)      1.0 where nothing else runs; 0.5 beside two programs on two processors
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from nas.environment import SPINS, measuring_environment
from nas.latency.target import Target
from nas.progress import Progress

TRIAL_S = 0.3
"""Seconds that a trial takes."""
CALM = 0.85
"""A process that gets at least this share of the processors' time counts as alone."""
_BLOCK = bytes(1 << 20)


def free_share(threads: int, seconds: float = TRIAL_S) -> float:
    """The share of so many processors' time that this process gets now, 0 to 1.

    Tried out: each thread computes, and the time that the system gave it is compared with the
    time that passed. In a container, the system's own figures would be those of the host.
    """

    def busy(_: int) -> float:
        begin, given = time.perf_counter(), time.thread_time()
        while time.perf_counter() - begin < seconds:
            hashlib.sha256(_BLOCK)  # other Python threads run meanwhile
        return (time.thread_time() - given) / (time.perf_counter() - begin)

    with ThreadPoolExecutor(threads) as pool:
        return min(1.0, sum(pool.map(busy, range(threads))) / threads)


def environment_now(threads: int, share_of: Callable[[int], float] = free_share) -> dict[str, str]:
    """The variables of a process that measures on so many threads now.

    On a busy processor idle threads sleep instead of waiting in a loop: a thread that waits in a
    loop keeps the processor from the one that it waits for. A person's own choice stays.
    """
    found = measuring_environment()
    chosen = {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & found.keys()
    if threads > 1 and not chosen and share_of(threads) < CALM:
        found["GOMP_SPINCOUNT"] = SPINS
    return found


def tell_load(
    target: Target, progress: Progress, share_of: Callable[[int], float] = free_share
) -> None:
    """Tell the user, before the processor at hand is measured, that it is busy."""
    if target.device != "cpu":
        return
    share = share_of(target.thread_count)
    if share < CALM:
        progress.say(
            f"Other programs keep the processors busy: this one gets {share:.0%} of the time of "
            f"its {target.thread_count} thread(s). Latencies are taken from calm moments, with "
            "wider intervals. Close other programs, or give fewer --threads, for narrower ones."
        )
