"""What long work tells the person who waits: lines, steps and progress bars.

The pipeline is handed a `Progress` and never prints; the command line shows it on stderr, a
notebook or a test passes `Silent()`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

Advance = Callable[[int, str], None]
"""`advance(done, note)`: how much of a task is done by now, and a few words beside the bar."""


class Progress(Protocol):
    """What the pipeline says while it works."""

    def step(self, name: str) -> None:
        """A step of the pipeline begins."""
        ...

    def say(self, message: str) -> None:
        """One line that the person should read."""
        ...

    def task(self, what: str, total: int) -> AbstractContextManager[Advance]:
        """Work with a known end, shown as a bar with the time that is left."""
        ...


class Silent:
    """A `Progress` that says nothing."""

    def step(self, name: str) -> None:
        """Ignored."""

    def say(self, message: str) -> None:
        """Ignored."""

    def task(self, what: str, total: int) -> AbstractContextManager[Advance]:
        """A task whose bar nobody sees."""
        return contextlib.nullcontext(_ignore)


def _ignore(done: int, note: str) -> None:
    """No bar to move."""
