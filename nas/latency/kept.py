"""Small values that are kept between runs, by key, in one SQLite file.

    kept = Kept(cache_dir() / "latency" / "parts.sqlite")
    kept.write({"a": b"..."})
    kept.read(["a", "b"])           {"a": b"..."}

A cache, never the only place of anything: several processes read and write at once, and a file
that is damaged or cannot be written makes no error, its values are only computed again.
"""

from __future__ import annotations

import contextlib
import sqlite3
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

_AT_ONCE = 500
"""Keys in one question; SQLite takes 999 at least."""
_CHECK = 4
"""Bytes of the checksum in front of every value."""
_PATIENCE_S = 30.0
_TABLE = "CREATE TABLE IF NOT EXISTS kept (key TEXT PRIMARY KEY, value BLOB NOT NULL)"


class Kept:
    """Values of bytes in one file."""

    def __init__(self, path: Path, patience_s: float = _PATIENCE_S) -> None:
        """Name the file, which need not exist, and how long to wait while others write it."""
        self._path, self._patience_s = path, patience_s

    def read(self, keys: Sequence[str]) -> dict[str, bytes]:
        """The values of those keys that are kept and undamaged."""
        found: dict[str, bytes] = {}
        if not self._path.exists():
            return found
        with contextlib.suppress(sqlite3.Error), self._open() as database:
            for start in range(0, len(keys), _AT_ONCE):
                asked = keys[start : start + _AT_ONCE]
                marks = ",".join("?" * len(asked))
                rows = database.execute(f"SELECT * FROM kept WHERE key IN ({marks})", asked)
                found.update({key: value for key, value in rows if _is_sound(value)})
        return {key: value[_CHECK:] for key, value in found.items()}

    def write(self, values: Mapping[str, bytes]) -> None:
        """Keep values, all or none of them; nothing is kept where the file cannot be written."""
        with contextlib.suppress(OSError, sqlite3.OperationalError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._insert(values)
            except sqlite3.OperationalError:  # a full disk, a lock, no permission
                raise
            except sqlite3.DatabaseError:  # no database, or a damaged one
                self._path.unlink()
                self._insert(values)

    def _insert(self, values: Mapping[str, bytes]) -> None:
        rows = [(key, _checked(value)) for key, value in values.items()]
        with self._open() as database, database:
            database.execute(_TABLE)
            database.executemany("INSERT OR REPLACE INTO kept VALUES (?, ?)", rows)

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with contextlib.closing(sqlite3.connect(self._path, timeout=self._patience_s)) as database:
            yield database


def _checked(value: bytes) -> bytes:
    return zlib.crc32(value).to_bytes(_CHECK, "big") + value


def _is_sound(value: object) -> bool:
    return isinstance(value, bytes) and value == _checked(value[_CHECK:])
