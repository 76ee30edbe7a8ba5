"""How fast the workers of a search are, and how much they get done in a chunk's time."""

from __future__ import annotations

import time
from collections.abc import Sequence

from nas.search.evaluators import Outcome


class Pace:
    """How fast the workers are."""

    def __init__(self) -> None:
        self._began: float | None = None
        self._cost = 0.0
        self.done, self.worker_seconds, self.seconds = 0, 0.0, 0.0

    def learn(self, cost: float, outcomes: Sequence[Outcome]) -> None:
        """Take note of a chunk with this predicted cost."""
        now = time.monotonic()
        took = sum(outcome.seconds for outcome in outcomes)
        self._began = now - took if self._began is None else self._began
        self._cost += cost
        self.done += len(outcomes)
        self.worker_seconds += took
        self.seconds = now - self._began

    @property
    def per_second(self) -> float:
        """Evaluations per second, of all workers together."""
        return self.done / self.seconds if self.seconds > 0 else 0.0

    def cost_in(self, seconds: float) -> float:
        """The predicted cost that a worker gets done in some seconds; infinite at the start."""
        if self.worker_seconds <= 0:
            return float("inf")
        return self._cost / self.worker_seconds * seconds
