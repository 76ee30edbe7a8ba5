from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nas import storage
from nas.errors import CheckpointError, RunError, StorageError
from nas.storage import append_line, atomic_write, cache_dir, lock, read_json, read_lines


def test_an_atomic_write_makes_the_folder_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.txt"
    atomic_write(path, "one")
    atomic_write(path, b"two")
    assert path.read_text() == "two"
    assert os.listdir(path.parent) == ["file.txt"]


def test_a_full_disk_leaves_the_old_file_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file.txt"
    atomic_write(path, "old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match=r"disk is full.*file\.txt' was not written") as caught:
        atomic_write(path, "new")
    assert caught.value.exit_code == 1
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.txt"]


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.EACCES, "Cannot write '.*file': Permission denied"),
        (errno.EROFS, "Cannot write '.*file': Read-only file system"),
        (errno.ENOTDIR, "A file and a folder are in each other's place"),
    ],
)
def test_a_forbidden_write_says_which_file_and_exits_with_two(number: int, message: str) -> None:
    with pytest.raises(RunError, match=message) as caught, storage.storing(Path("file")):
        raise OSError(number, os.strerror(number))
    assert caught.value.exit_code == 2


def test_another_operating_system_error_is_left_as_it_is() -> None:
    with pytest.raises(OSError, match="Input/output error"), storage.storing(Path("file")):
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_appended_lines_are_read_back_in_order(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    assert read_lines(path) == []
    for number in range(3):
        append_line(path, {"number": number})
    assert read_lines(path) == [{"number": 0}, {"number": 1}, {"number": 2}]


@pytest.mark.parametrize("torn", [b'{"numb', b"{", b'{"number": 1}'])
def test_a_line_torn_by_a_crash_is_not_read_and_the_next_one_replaces_it(
    tmp_path: Path, torn: bytes
) -> None:
    path = tmp_path / "lines.jsonl"
    append_line(path, {"number": 0})
    with path.open("ab") as file:
        file.write(torn)
    assert read_lines(path) == [{"number": 0}]
    append_line(path, {"number": 2})
    assert read_lines(path) == [{"number": 0}, {"number": 2}]


def test_an_unfinished_line_of_a_library_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    storage.drop_unfinished_line(path)
    assert not path.exists()
    for content, left in ((b"one\ntw", b"one\n"), (b"on", b""), (b"one\n", b"one\n")):
        path.write_bytes(content)
        storage.drop_unfinished_line(path)
        assert path.read_bytes() == left


@pytest.mark.parametrize("damage", [b"{\n", b"3\n", b"\xff\n"])
def test_a_damaged_finished_line_is_named(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b'{"number": 0}\n' + damage)
    with pytest.raises(CheckpointError, match=r"Line 2 of '.*lines\.jsonl' is damaged"):
        read_lines(path)


def test_a_full_disk_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lines.jsonl"
    append_line(path, {"number": 0})

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="nothing was left half-written"):
        append_line(path, {"number": 1})
    assert path.read_bytes() == b'{"number": 0}\n'


def test_a_file_size_limit_is_told_like_a_full_disk(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    code = f"""
import resource
from pathlib import Path
from nas.errors import StorageError
from nas.storage import append_line
append_line(Path({str(path)!r}), {{"number": 0}})
resource.setrlimit(resource.RLIMIT_FSIZE, (20, 20))
try:
    append_line(Path({str(path)!r}), {{"number": 1}})
except StorageError:
    print("full")
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "full\n"
    assert read_lines(path) == [{"number": 0}]


@pytest.mark.parametrize("content", ["{", "[]"])
def test_damaged_json_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "file.json"
    path.write_text(content)
    with pytest.raises(CheckpointError, match=r"Cannot read '.*file\.json'"):
        read_json(path)


@pytest.fixture
def held(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A lock that another process holds, and that process' id."""
    path = tmp_path / "run.lock"
    code = (
        "import sys; from pathlib import Path; from nas.storage import lock\n"
        f"with lock(Path({str(path)!r})): print('held', flush=True); sys.stdin.read()"
    )
    process: subprocess.Popen[Any]
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield path, process.pid
        process.kill()


def test_a_second_process_is_told_who_holds_the_folder(held: tuple[Path, int]) -> None:
    path, pid = held
    message = f"'{path.parent}' is in use by process {pid}"
    with pytest.raises(RunError, match=message), lock(path, wait=False):
        pass


def test_a_killed_process_lets_go(held: tuple[Path, int]) -> None:
    path, pid = held
    os.kill(pid, 9)
    with lock(path):
        assert path.read_text() == str(os.getpid())


def test_who_waits_is_told_for_whom(held: tuple[Path, int]) -> None:
    path, pid = held
    said: list[str] = []

    def say(message: str) -> None:
        said.append(message)
        os.kill(pid, 9)

    with lock(path, say=say):
        assert said == [f"waiting for process {pid}, which is at work in '{path.parent}'"]


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("NAS_CACHE_DIR", raising=False)
    assert cache_dir() == Path("/home/somebody/.cache/nas")
    monkeypatch.setenv("XDG_CACHE_HOME", "/shared")
    assert cache_dir() == Path("/shared/nas")
    monkeypatch.setenv("NAS_CACHE_DIR", "/own")
    assert cache_dir() == Path("/own")
