"""What is kept is found again, by many processes at once, and damage costs no more than time."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from nas.latency.kept import Kept


def test_what_was_written_is_read_by_another(tmp_path: Path) -> None:
    Kept(tmp_path / "folder" / "file").write({"a": b"1", "b": b""})
    assert Kept(tmp_path / "folder" / "file").read(["a", "b", "c"]) == {"a": b"1", "b": b""}


def test_many_keys_are_read_at_once(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "file")
    values = {str(i): bytes([i % 256]) for i in range(3000)}
    kept.write(values)
    assert kept.read(list(values)) == values


def test_reading_makes_no_file(tmp_path: Path) -> None:
    assert Kept(tmp_path / "file").read(["a"]) == {}
    assert list(tmp_path.iterdir()) == []


def test_a_later_value_replaces_an_earlier_one(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "file")
    kept.write({"a": b"1"})
    kept.write({"a": b"2"})
    assert kept.read(["a"]) == {"a": b"2"}


@pytest.mark.parametrize("damage", [b"", b"no database", b"SQLite format 3\0" + b"?" * 5000])
def test_a_damaged_file_is_made_anew(tmp_path: Path, damage: bytes) -> None:
    kept = Kept(tmp_path / "file")
    kept.write({"a": b"1"})
    (tmp_path / "file").write_bytes(damage)
    assert kept.read(["a"]) == {}
    kept.write({"b": b"2"})
    assert kept.read(["a", "b"]) == {"b": b"2"}


def test_a_value_that_was_changed_is_not_read(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "file")
    kept.write({"a": b"long enough to find", "b": b"2"})
    content = (tmp_path / "file").read_bytes()
    (tmp_path / "file").write_bytes(content.replace(b"long enough", b"Long enough"))
    assert kept.read(["a", "b"]) == {"b": b"2"}


def test_a_place_that_cannot_be_written_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    kept = Kept(tmp_path / "file" / "below")
    kept.write({"a": b"1"})
    assert kept.read(["a"]) == {}


def test_a_file_that_another_process_holds_for_long_is_not_removed(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "file", patience_s=0.01)
    kept.write({"a": b"1"})
    holder = sqlite3.connect(tmp_path / "file")
    holder.execute("BEGIN EXCLUSIVE")
    kept.write({"a": b"2"})
    holder.rollback()
    holder.close()
    assert kept.read(["a"]) == {"a": b"1"}


WRITER = """
import sys
from pathlib import Path
from nas.latency.kept import Kept

for i in range(20):
    Kept(Path(sys.argv[1])).write({f"{sys.argv[2]} {i}": b"1", "shared": b"2"})
"""


def test_processes_write_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path / "file")]
    where = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    writers = [subprocess.Popen([*command, str(n)], env=where) for n in range(3)]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    keys = [f"{name} {i}" for name in range(3) for i in range(20)]
    assert len(Kept(tmp_path / "file").read([*keys, "shared"])) == 61
