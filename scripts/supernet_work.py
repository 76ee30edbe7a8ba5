"""A supernet to search on, without a run folder that stays: what several scripts begin with."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from nas.progress import Silent
from nas.run.context import Context
from nas.run.folder import open_run
from nas.run.work import Work
from nas.settings import Settings


class Said(Silent):
    """Prints what the steps say."""

    def say(self, message: str) -> None:
        """One line."""
        print(message, flush=True)


@contextlib.contextmanager
def opened(settings: Settings, validation: int | None = None) -> Iterator[Work]:
    """The work of a run in a folder that is removed at the end, its supernet trained or cached.

    Args:
        settings: Of the run.
        validation: Images to judge by; all without it.
    """
    with tempfile.TemporaryDirectory() as folder, open_run(settings, Path(folder) / "run") as run:
        work = Work(run, Said(), Context(settings, judged_by=validation))
        print({k: round(v, 4) for k, v in work.trained.curve[-1].items()}, flush=True)
        yield work
