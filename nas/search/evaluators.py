"""Who evaluates the candidates of a search: this process, its threads, or workers elsewhere.

    submit(0, code)   submit(1, code)   ...   collect() -> {1: outcome}   collect() -> {0: ...}

Results may arrive in any order; the engine tells them to the searcher in the order of asking. An
evaluation that fails is tried once more; if it fails again, its scores are NaN and the search
goes on.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from nas.errors import NasError
from nas.search.problem import Evaluate
from nas.search.protocol import Codes
from supernet.scores import Evaluation

_LOG = logging.getLogger(__name__)

TRIES = 2
"""How often an evaluation may fail before it is recorded as failed."""
FAILED = Evaluation(float("nan"), float("nan"), float("nan"))
GROUP = 8
"""How many candidates are evaluated together at most; as many are lost when a run is stopped."""

Together = Callable[[Sequence[Codes]], Sequence[Evaluation]]
"""Codes to their evaluations, which are those that each has on its own."""
Identify = Callable[[Codes], str]
"""One code (genes,) to its architecture's id."""


@dataclass(frozen=True)
class Outcome:
    """The result of one candidate."""

    id: str
    evaluation: Evaluation
    """NaN if it failed."""
    seconds: float
    """Duration of the evaluation."""
    error: str | None = None
    """Why it failed."""


class Evaluators(Protocol):
    """Evaluates candidates in any order."""

    def submit(self, index: int, code: Codes) -> None:
        """Have a code (genes,) evaluated, now or later."""

    def collect(self) -> dict[int, Outcome]:
        """Wait for at least one result; the results by the index of their candidate.

        Raises:
            NasError: evaluating is not possible at all.
        """

    def note(self) -> str:
        """A few words for the person who waits; may be empty."""


@dataclass(frozen=True)
class Evaluating:
    """Evaluates codes in this process. It can be pickled if its parts can."""

    evaluate: Evaluate
    identify: Identify
    together: Together | None = None
    """Evaluates several codes in less time than one after the other, if there is a way."""

    def group(self, codes: Sequence[Codes]) -> list[Outcome]:
        """Evaluate several codes; each on its own, and once more, if that fails.

        Raises:
            NasError: as `once`.
        """
        if self.together is None or len(codes) == 1:
            return [self.with_retry(code) for code in codes]
        start = time.perf_counter()
        try:
            found = self.together(codes)
        except NasError:
            raise
        except Exception as raised:
            _LOG.warning("evaluating %d together failed", len(codes), exc_info=raised)
            return [self.with_retry(code) for code in codes]
        seconds = (time.perf_counter() - start) / len(codes)
        return [
            Outcome(self.identify(code), evaluation, seconds)
            for code, evaluation in zip(codes, found, strict=True)
        ]

    def once(self, code: Codes) -> Outcome:
        """Evaluate a code (genes,) once; an error is in the outcome.

        Raises:
            NasError: not the code but what it is evaluated with is wrong.
        """
        start = time.perf_counter()
        evaluation, error = FAILED, None
        try:
            evaluation = self.evaluate(code)
        except NasError:
            raise
        except Exception as raised:
            error = f"{type(raised).__name__}: {raised}"
            _LOG.warning("an evaluation failed", exc_info=raised)
        return Outcome(self.identify(code), evaluation, time.perf_counter() - start, error)

    def with_retry(self, code: Codes) -> Outcome:
        """Evaluate a code (genes,), and once more if it failed.

        Raises:
            NasError: as `once`.
        """
        outcome = self.once(code)
        for _ in range(TRIES - 1):
            if outcome.error is not None:
                outcome = self.once(code)
        return outcome


class Here:
    """Evaluates in this process, one after the other, when a result is asked for."""

    def __init__(self, evaluate: Evaluate, identify: Identify) -> None:
        self._evaluating = Evaluating(evaluate, identify)
        self._waiting: deque[tuple[int, Codes]] = deque()

    def submit(self, index: int, code: Codes) -> None:
        """Remember the code."""
        self._waiting.append((index, code))

    def collect(self) -> dict[int, Outcome]:
        """Evaluate the code that waits longest."""
        index, code = self._waiting.popleft()
        return {index: self._evaluating.with_retry(code)}

    def note(self) -> str:
        """Nothing."""
        return ""


class OnThreads:
    """Evaluates on several threads of this process; each takes a group of similar candidates.

    Args:
        evaluating: Several threads call it at once.
        pool: The threads.
        threads: How many there are.
    """

    def __init__(self, evaluating: Evaluating, pool: ThreadPoolExecutor, threads: int) -> None:
        self._evaluating, self._pool, self._threads = evaluating, pool, threads
        self._most = 1 if evaluating.together is None else GROUP
        self._waiting: dict[int, Codes] = {}
        self._running: dict[Future[list[Outcome]], list[int]] = {}

    def submit(self, index: int, code: Codes) -> None:
        """Remember the code until a thread is free."""
        self._waiting[index] = code

    def collect(self) -> dict[int, Outcome]:
        """Wait for the next results, and take those that are there."""
        self._start_groups()
        done, _ = wait(self._running, return_when=FIRST_COMPLETED)
        found: dict[int, Outcome] = {}
        for future in done:
            found |= zip(self._running.pop(future), future.result(), strict=True)
        return found

    def note(self) -> str:
        """Nothing."""
        return ""

    def _start_groups(self) -> None:
        """Divide what waits among the threads that are free; similar codes stay together."""
        idle = self._threads - len(self._running)
        order = sorted(self._waiting, key=lambda index: (*self._waiting[index].tolist(), index))
        if not idle or not order:
            return
        size = min(self._most, -(-len(order) // idle))
        groups = [order[start : start + size] for start in range(0, len(order), size)]
        for indices in groups[:idle]:
            codes = [self._waiting.pop(index) for index in indices]
            self._running[self._pool.submit(self._evaluating.group, codes)] = indices


@contextmanager
def on_threads(
    evaluate: Evaluate,
    identify: Identify,
    threads: int,
    prepare: Callable[[], None],
    together: Together | None = None,
) -> Iterator[OnThreads]:
    """Threads for the length of the block; what waits at its end is not evaluated.

    Args:
        evaluate: Evaluates a code; several threads call it at once.
        identify: As for `Here`.
        threads: How many.
        prepare: Called first in each.
        together: Evaluates several codes at once, if there is a way; several threads call it.
    """
    pool = ThreadPoolExecutor(threads, "evaluating", initializer=prepare)
    try:
        yield OnThreads(Evaluating(evaluate, identify, together), pool, threads)
    finally:
        pool.shutdown(cancel_futures=True)
