"""The process that `clean.py` starts: reads a job, measures, writes the times."""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from nas.errors import NasError
from nas.latency.timing.job import Job, run_here
from nas.latency.timing.machines import machine_of
from nas.progress import Advance

PACE_S = 0.25
"""Seconds between two reports of an advance: each wakes the parent, which takes processor time."""


class Reports:
    """A `nas.progress.Progress` whose lines the parent reads."""

    def __init__(self, lines: IO[str]) -> None:
        self._lines = lines

    def write(self, kind: str, content: Any) -> None:
        """One line."""
        self._lines.write(json.dumps([kind, content]) + "\n")
        self._lines.flush()

    def step(self, name: str) -> None:
        """Steps are the parent's."""

    def say(self, message: str) -> None:
        """Show one line."""
        self.write("say", message)

    @contextmanager
    def task(self, what: str, total: int) -> Iterator[Advance]:
        """A bar, which moves now and then."""
        self.write("task", [what, total])
        last = 0.0

        def advance(done: int, note: str) -> None:
            nonlocal last
            if time.monotonic() - last >= PACE_S:
                last = time.monotonic()
                self.write("advance", [done, note])

        yield advance
        self.write("done", None)


def main() -> None:
    """Read one job from stdin, measure, and write the result to what was stdout."""
    reports = Reports(os.fdopen(os.dup(1), "w"))
    os.dup2(2, 1)  # what libraries print goes to stderr
    order = json.loads(sys.stdin.readline() or "null")
    if order is None:  # the parent has ended
        return
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        for module in order["modules"]:
            importlib.import_module(module)
        job = Job.from_dict(order["job"])
        found = run_here(job, machine_of(job.target, order["own_programs"]), reports)
        reports.write("timed", found.to_dict())
    except NasError as error:
        reports.write("error", [type(error).__name__, str(error)])
    except Exception as error:
        traceback.print_exc()
        reports.write("error", [type(error).__name__, str(error)])


def _end_with_parent() -> None:
    """Wait for the end of the input, which the parent holds open for as long as it lives."""
    while sys.stdin.read(1):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
