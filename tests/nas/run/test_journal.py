"""The study of a run in a real PostgreSQL, which the tests start on loopback."""

from __future__ import annotations

import getpass
import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest

from nas import pipeline
from nas.errors import ClusterError, RunError, SettingsError
from nas.run.journal import RunningStudy, check_journal, journal_of
from nas.search.engine import SearchProgress
from nas.search.study_places import StudyDatabase, StudyFile
from nas.settings import Settings
from nas.storage import read_json

PASSWORD = "only-for-tests"


def _programs() -> Path | None:
    """The folder of PostgreSQL's programs; Debian keeps them out of PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    initdb = shutil.which("initdb")
    return Path(initdb).parent if initdb else None


def _user() -> str | None:
    """Who may run the server: it refuses root."""
    if os.geteuid() != 0:
        return getpass.getuser()
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        return None


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """The address of an empty database that wants a password."""
    programs, user = _programs(), _user()
    if programs is None or user is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip("the extra 'postgresql' is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="pg", dir="/tmp") as name:
        folder = Path(name)
        (folder / "password").write_text(PASSWORD)
        if os.geteuid() == 0:
            for path in (folder, folder / "password"):
                shutil.chown(path, user)
        data = str(folder / "data")

        def program(*words: str) -> None:
            subprocess.run(
                [str(programs / words[0]), *words[1:]],
                user=user if os.geteuid() == 0 else None,
                check=True,
                cwd=folder,
                stdout=subprocess.DEVNULL,
            )

        program(
            *("initdb", "--pgdata", data, "--username", "nas", "--no-sync"),
            *("--auth", "scram-sha-256", "--pwfile", str(folder / "password")),
        )
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c fsync=off -k {folder}"
        program("pg_ctl", "start", "-w", "-D", data, "-o", options, "-l", str(folder / "log"))
        try:
            yield f"postgresql://nas:{PASSWORD}@127.0.0.1:{port}/postgres"
        finally:
            program("pg_ctl", "stop", "-m", "immediate", "-D", data)


def _settings(home: Path) -> Settings:
    return Settings(
        space=str(home / "minute.yaml"),
        data=f"npz:{home / 'images.npz'}",
        epochs=1,
        evaluations=8,
        searcher="random",
        threads=1,
    )


def test_a_search_keeps_its_study_in_the_database(home, database, monkeypatch) -> None:
    out = home / "run"
    pipeline.run(_settings(home), out=out, until="search", journal=database)
    assert not (out / "study.journal").exists()
    note = read_json(out / "journal.json")
    for file in out.iterdir():
        assert PASSWORD not in file.read_text(errors="replace")
    url = database.replace("postgresql", "postgresql+psycopg")
    storage = optuna.storages.RDBStorage(url)
    study = optuna.load_study(study_name=note["study"], storage=storage)
    assert len(study.trials) == 8
    storage.remove_session()
    storage.engine.dispose()
    monkeypatch.setenv("PGPASSWORD", PASSWORD)  # now the address is known
    with journal_of(out, None) as place:
        assert isinstance(place, StudyDatabase)
        assert place.name == note["study"]


def test_two_drivers_of_one_run_are_refused(tmp_path, database) -> None:
    with (
        journal_of(tmp_path, database),
        pytest.raises(RunError, match="Another process works on this run"),
        journal_of(tmp_path, database),
    ):
        pass
    with journal_of(tmp_path, database):  # the first one has let go
        pass


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ((PASSWORD, "wrong"), "password authentication failed"),
        ((f":{PASSWORD}", ""), "no password supplied"),
        (("/postgres", "/absent"), 'database "absent" does not exist'),
    ],
)
def test_what_the_database_refuses_is_said(database, change, words, monkeypatch) -> None:
    monkeypatch.delenv("PGPASSWORD", raising=False)
    head, _, tail = database.rpartition("@")
    changed = f"{head.replace(*change)}@{tail.replace(*change)}"
    with pytest.raises(ClusterError, match=f"Cannot use the database .*{words}") as raised:
        check_journal(changed)
    assert "wrong" not in str(raised.value).replace("wrong password", "")


def test_a_database_that_is_not_there_is_said() -> None:
    pytest.importorskip("psycopg", reason="the extra 'postgresql' is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(ClusterError, match=r"Cannot use the database postgresql://nas:\*\*\*@127"):
        check_journal(f"postgresql://nas:secret@127.0.0.1:{port}/nas")


@pytest.mark.parametrize("url", ["nonsense", "mysql://db/nas", "postgresql://db"])
def test_an_address_of_no_postgresql_is_refused(url) -> None:
    with pytest.raises(SettingsError, match="is no address of a database"):
        check_journal(url)


def test_without_a_database_the_study_is_a_file(tmp_path) -> None:
    check_journal(None)
    with journal_of(tmp_path, None) as place:
        assert place == StudyFile(tmp_path / "study.journal")
    assert not list(tmp_path.iterdir())


def test_a_search_that_reads_its_record_leaves_the_study_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    study, updates = RunningStudy(None), []  # type: ignore[arg-type]
    monkeypatch.setattr(study, "update", lambda: updates.append(len(study._records)))
    study._next = 0.0
    for number, replayed in enumerate((True, True, False)):
        study.add(SearchProgress(number, 3, None, 0.5, replayed, ""))  # type: ignore[arg-type]
    assert updates == [3]
