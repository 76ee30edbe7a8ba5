"""Milliseconds of single operations on the processor at hand, measured once and kept in a file.

    store = OperationTimes.of(target)
    store.measure(calls_of(network, shape), progress)      # times those that are not known yet
    store.ms[call.key]

All times are at the speed that the machine had when the store began, see `timer.py`. Processes
measure one after the other, and each reads first what the others kept.
"""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nas.environment import version
from nas.errors import CheckpointError
from nas.latency.devices import fingerprint
from nas.latency.identity import cache_name, read_sealed, seal
from nas.latency.operations.timer import Pace, Timer, time_calls, typical_ms, weights_of
from nas.latency.target import Target
from nas.latency.tracing.calls import Call
from nas.progress import Progress
from nas.storage import atomic_write, cache_dir, lock

SCHEMA = 3


@dataclass
class OperationTimes:
    """Milliseconds by `Call.key`, and the file that keeps them."""

    path: Path
    conditions: dict[str, Any]
    timer: Timer = time_calls
    ms: dict[str, float] = field(default_factory=dict)
    reference_ms: list[float] = field(default_factory=list)
    """Milliseconds of the reference operations when the store began."""
    fitted: dict[str, Any] = field(default_factory=dict)
    """What was fitted to whole networks, as plain data; see `predictor.py`."""

    @classmethod
    def of(cls, target: Target, timer: Timer = time_calls) -> OperationTimes:
        """The store of this machine and target; empty if nothing was measured.

        Raises:
            CheckpointError: its file is damaged or was changed.
        """
        conditions = {
            "threads": target.thread_count,
            "batch_size": target.images,
            "device": fingerprint(),
            "torch": version("torch"),
        }
        name = cache_name({"schema": SCHEMA, **conditions})
        store = cls(cache_dir() / "latency" / f"operations-{name}.json", conditions, timer)
        store._read()
        return store

    @contextlib.contextmanager
    def measuring(self, progress: Progress) -> Iterator[None]:
        """No other process measures or writes meanwhile; what others kept is read first.

        Args:
            progress: Says that another process is waited for.

        Raises:
            CheckpointError: the file is damaged or was changed.
        """
        with lock(self.path.with_name("measuring.lock"), say=progress.say):
            self._read()
            yield

    def measure(self, calls: Sequence[Call], progress: Progress, pace: Pace | None = None) -> int:
        """Time a network's calls unless all are known, and keep the new times.

        Returns:
            How many were new.
        """
        if not self._unknown(calls):
            return 0
        with self.measuring(progress):
            return self.add(calls, progress, pace)

    def add(self, calls: Sequence[Call], progress: Progress, pace: Pace | None = None) -> int:
        """The same for a caller that is `measuring` already."""
        unknown = self._unknown(calls)
        if not unknown:
            return 0
        timed = {call.key: call for call in calls if call.launches}
        weights = sum(weights_of(call) for call in calls if call.launches)
        threads = self.conditions["threads"]
        spans = self.timer([*timed.values()], weights, threads, pace or Pace(), progress)
        if not self.reference_ms:
            self.reference_ms = np.median([span.reference for span in spans], axis=0).tolist()
        for i, key in enumerate(timed):
            self.ms[key] = self.ms.get(key) or typical_ms(
                [
                    (ms / span.slowness(self.reference_ms), interrupted)
                    for span in spans
                    for ms, interrupted in span.visits[i]
                ]
            )
        self.save()
        return len(unknown)

    def forget(self) -> None:
        """Drop all times: they were taken while the machine was busy."""
        self.ms, self.reference_ms = {}, []
        self.save()

    def save(self) -> None:
        """Write the store, whole or not at all; the caller is `measuring`."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        content = {
            "conditions": {**self.conditions, "date": now},
            "ms": self.ms,
            "reference_ms": self.reference_ms,
            "fitted": self.fitted,
        }
        atomic_write(self.path, seal(content, SCHEMA))

    def _unknown(self, calls: Sequence[Call]) -> set[str]:
        return {call.key for call in calls if call.launches} - self.ms.keys()

    def _read(self) -> None:
        """Take over what the file holds, if there is one."""
        if not self.path.exists():
            return
        name = f"The file '{self.path}' of operation times"
        again = f"Delete '{self.path}', and the next prediction measures again."
        content = read_sealed(self.path, SCHEMA, name, again, tuple(self.conditions))
        if {**content["conditions"], **self.conditions} != content["conditions"]:
            raise CheckpointError(
                f"{name} was measured under other conditions than {self.conditions}. {again}"
            )
        self.ms, self.reference_ms = content["ms"], content["reference_ms"]
        self.fitted = content["fitted"]
