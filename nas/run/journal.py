"""Where a run's study is kept: `study.journal` in its folder, or a database given by `--journal`.

`journal.json` in the folder keeps the database's address without its password, and the name of
the study, so that `nas resume RUN` goes on with it.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nas.errors import ClusterError
from nas.result import shown_metric
from nas.run.work import Work
from nas.search.engine import SearchProgress
from nas.search.records import Record
from nas.search.study import mirror
from nas.search.study_places import StudyDatabase, StudyFile, StudyPlace
from nas.storage import atomic_write_json, read_json

_LOG = logging.getLogger(__name__)

_UPDATE_SECONDS = 10.0
_BUSY_SHARE = 0.05
"""At most this share of a search is spent on its study."""


class RunningStudy:
    """The study of a search that runs: it follows the record, a few seconds behind."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._records: list[Record] = []
        self._next = time.monotonic() + _UPDATE_SECONDS

    def add(self, now: SearchProgress) -> None:
        """Take note of an evaluation.

        While a resumed search reads its record, the study knows more than that.
        """
        self._records.append(now.record)
        if not now.replayed and time.monotonic() >= self._next:
            self.update()

    def update(self) -> None:
        """Bring the study up to date. A database that fails now is only told: it is a copy."""
        began, context = time.monotonic(), self._work.context
        genes, names = context.space.genes, context.target_names
        metric = shown_metric(context.metric)
        try:
            mirror(self._work.study, self._records, genes, metric, names)
        except ClusterError as error:
            _LOG.warning("the study was not written", exc_info=error)
            self._work.console.say(f"Warning: the study lacks the latest evaluations. {error}")
        now = time.monotonic()
        self._next = now + max(_UPDATE_SECONDS, (now - began) / _BUSY_SHARE)


def check_journal(url: str | None) -> None:
    """Try a database before anything starts.

    Raises:
        NasError: it cannot be used.
    """
    if url is not None:
        with StudyDatabase(url, f"check-{secrets.token_hex(8)}").held():
            pass


@contextmanager
def journal_of(run: Path, url: str | None) -> Iterator[StudyPlace]:
    """The place of a run's study, held against other drivers for the length of the block.

    Args:
        run: The run's folder.
        url: The database; None for that of the run's beginning, or else the file.

    Raises:
        NasError: the database cannot be used, or another process works on the run.
    """
    note = run / "journal.json"
    before = read_json(note) if note.exists() else None
    if url is None and before is None:
        yield StudyFile(run / "study.journal")
        return
    name = before["study"] if before else f"{run.absolute().name}-{secrets.token_hex(4)}"
    place = StudyDatabase(url or (before or {})["url"], name)
    with place.held():
        atomic_write_json(note, {"url": place.without_password(), "study": name})
        yield place
