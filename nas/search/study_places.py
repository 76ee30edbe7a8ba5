"""Where a study is kept: in a file of the run's folder, or in a PostgreSQL database.

    StudyFile(Path("results/run/study.journal"))
    StudyDatabase("postgresql://nas@db/nas", "my-run-1f2e3d4c")

A database takes the studies of many runs and many machines, and optuna-dashboard shows them all.
The password is best left to PGPASSWORD or ~/.pgpass, which PostgreSQL's own programs read as well.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from nas.errors import ClusterError, RunError, SettingsError, missing_extra
from nas.search.foreign.optuna import quiet_optuna
from nas.storage import drop_unfinished_line, storing

if TYPE_CHECKING:
    from optuna import Study
    from optuna.storages import BaseStorage, RDBStorage
    from psycopg import Connection
    from sqlalchemy import URL

STUDY = "search"
"""Name of the study in a file, which holds only one."""
_CONNECT_SECONDS = 10


class StudyPlace(Protocol):
    """Where one study is kept."""

    def open(self, names: list[str]) -> Study:
        """The study, made if it is not there; the first objective is maximised, others minimised.

        Args:
            names: Of the objectives.
        """

    def clear(self) -> None:
        """Delete the study."""

    def writing(self) -> AbstractContextManager[None]:
        """Within it, errors of the place become messages with advice."""


@dataclass(frozen=True)
class StudyFile:
    """A study in a file."""

    path: Path

    def open(self, names: list[str]) -> Study:
        """As `StudyPlace.open`."""
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        self.path.parent.mkdir(parents=True, exist_ok=True)
        drop_unfinished_line(self.path)
        return _opened(JournalStorage(JournalFileBackend(str(self.path))), STUDY, names)

    def clear(self) -> None:
        """Delete the file."""
        self.path.unlink(missing_ok=True)

    def writing(self) -> AbstractContextManager[None]:
        """Errors of the disk."""
        return storing(self.path)


@dataclass(frozen=True)
class StudyDatabase:
    """A study in a PostgreSQL database."""

    url: str
    """`postgresql://USER@HOST:PORT/DATABASE`"""
    name: str
    """Of the study, unique in the database."""

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the study, so that a second driver of the run is refused. Also checks the database.

        Raises:
            SettingsError: the address is not one of PostgreSQL.
            MissingExtraError: the driver of PostgreSQL is not installed.
            ClusterError: the database does not answer, or refuses.
            RunError: another driver holds the study.
        """
        key = int.from_bytes(hashlib.sha256(self.name.encode()).digest()[:8], "big", signed=True)
        with self._connection() as connection:
            free = connection.execute("SELECT pg_try_advisory_lock(%s)", [key]).fetchone()
            if free != (True,):
                raise RunError(
                    f"Another process works on this run: it holds the study '{self.name}' in the "
                    f"database {self.shown}. Wait until it is done."
                )
            try:
                yield
            finally:
                self._disconnect()

    def open(self, names: list[str]) -> Study:
        """As `StudyPlace.open`; connections stay open until the study is let go."""
        return _opened(self._storage, self.name, names)

    def clear(self) -> None:
        """Delete the study."""
        import optuna

        with contextlib.suppress(KeyError):
            optuna.delete_study(study_name=self.name, storage=self._storage)

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Errors of the database."""
        from optuna.exceptions import StorageInternalError
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except (StorageInternalError, SQLAlchemyError) as error:
            raise self._refused(error.__cause__ or error) from None

    @property
    def shown(self) -> str:
        """The address without the password."""
        return self._url.render_as_string(hide_password=True)

    def without_password(self) -> str:
        """The address for a file: the password is left out."""
        return self._url._replace(password=None).render_as_string()

    @property
    def _url(self) -> URL:
        from sqlalchemy import make_url
        from sqlalchemy.exc import ArgumentError

        try:
            url = make_url(self.url)
        except (ArgumentError, ValueError):
            raise _no_address(self.url) from None
        if url.get_backend_name() not in ("postgresql", "postgres") or not url.database:
            raise _no_address(url.render_as_string(hide_password=True))
        return url.set(drivername="postgresql")

    @cached_property
    def _storage(self) -> RDBStorage:
        from optuna.storages import RDBStorage

        url = self._url.set(drivername="postgresql+psycopg")
        with quiet_optuna():
            return RDBStorage(
                url.render_as_string(hide_password=False),
                engine_kwargs={
                    "connect_args": {
                        "connect_timeout": _CONNECT_SECONDS,
                        "options": "-c synchronous_commit=off",  # the study is a copy
                    }
                },
            )

    def _disconnect(self) -> None:
        storage: RDBStorage | None = self.__dict__.pop("_storage", None)
        if storage is not None:
            storage.remove_session()
            storage.engine.dispose()

    @contextlib.contextmanager
    def _connection(self) -> Iterator[Connection]:
        try:
            import psycopg
        except ImportError as error:
            raise missing_extra("psycopg", "postgresql", "--journal postgresql://") from error
        url = self._url.render_as_string(hide_password=False)
        try:
            connection = psycopg.connect(url, connect_timeout=_CONNECT_SECONDS, autocommit=True)
        except psycopg.Error as error:
            raise self._refused(error) from None
        with contextlib.closing(connection):
            yield connection

    def _refused(self, error: BaseException) -> ClusterError:
        why = str(error).strip().splitlines()[-1].strip()
        return ClusterError(
            f"Cannot use the database {self.shown}: {why}. Correct --journal; a password may "
            "stand in PGPASSWORD or ~/.pgpass. Without --journal the study is a file in the "
            "run's folder."
        )


def _opened(
    storage: BaseStorage,
    name: str,
    names: list[str],
) -> Study:
    import optuna

    directions: list[Literal["maximize", "minimize"]] = ["maximize"]
    directions += ["minimize"] * (len(names) - 1)
    study = optuna.create_study(
        storage=storage, study_name=name, directions=directions, load_if_exists=True
    )
    if study.metric_names != names:
        study.set_metric_names(names)
    return study


def _no_address(shown: str) -> SettingsError:
    return SettingsError(
        f"--journal '{shown}' is no address of a database. Write postgresql://USER@HOST/DATABASE."
    )
