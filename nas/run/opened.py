"""A run that a single command works on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nas.cluster.connection import Cluster
from nas.progress import Progress
from nas.run.context import Context
from nas.run.folder import resume_run
from nas.run.front import Front
from nas.run.inputs import check_inputs
from nas.run.summary import front_of, no_front
from nas.run.work import Work
from nas.storage import check_cache


@contextmanager
def opened(
    path: Path, console: Progress, cluster: Cluster | None = None
) -> Iterator[tuple[Work, Front]]:
    """A run, locked by this process, and its front.

    Raises:
        RunError: it has no front yet, or the cache cannot be written to.
    """
    with resume_run(path) as folder:
        folder.continued_by = "the same command again"
        check_cache()
        work = Work(folder, Context(folder.settings), console, cluster=cluster)
        check_inputs(work)
        front = front_of(work.path, work.context)
        if not front.members:
            raise no_front(work.path)
        yield work, front
