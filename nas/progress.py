"""Progress of long work, shown to the person who waits: lines, steps and bars.

The pipeline reports to a `Progress` and never prints. The command line passes one that writes to
stderr; a notebook or a test passes `Silent()`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

Advance = Callable[[int, str], None]
"""`advance(done, note)`: the amount of a task done so far, and a few words beside the bar."""


class Progress(Protocol):
    """Shows the progress of the pipeline."""

    def step(self, name: str) -> None:
        """Show that a step of the pipeline begins."""

    def say(self, message: str) -> None:
        """Show one line."""

    def task(self, what: str, total: int) -> AbstractContextManager[Advance]:
        """A task of `total` units, shown as a bar with the time that is left."""


class Silent:
    """A `Progress` that says nothing."""

    def step(self, name: str) -> None:
        """Ignored."""

    def say(self, message: str) -> None:
        """Ignored."""

    def task(self, what: str, total: int) -> AbstractContextManager[Advance]:
        """A task without a bar."""
        return contextlib.nullcontext(_ignore)


def _ignore(done: int, note: str) -> None:
    """Show nothing."""
