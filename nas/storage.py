"""Files that survive a crash: replaced atomically, appended line by line, locked.

Every file of a run and of the cache is written here, so that `kill -9` or a full disk at any
moment leaves either the old content or the new one, never a part.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from nas.errors import CheckpointError, RunError, StorageError, reason

_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
_NOWHERE = {errno.ENOENT, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL}
_NOT_A_FOLDER = {errno.ENOTDIR, errno.EEXIST, errno.EISDIR}


def atomic_write(path: Path, content: bytes | str) -> None:
    """Write `content` to `path`, completely or not at all, even across a power cut.

    Raises:
        StorageError: the disk is full; the old file, if any, is untouched.
        RunError: the folder cannot be written to.
    """
    data = content.encode() if isinstance(content, str) else content
    with atomic_file(path) as temporary:
        temporary.write_bytes(data)


def atomic_write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Put a JSON document at `path`, as `atomic_write` does."""
    atomic_write(path, json.dumps(document, indent=2) + "\n")


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends without an error."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with storing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            _sync(temporary)
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):  # the first error is the one to report
                temporary.unlink(missing_ok=True)
            raise
        _sync(path.parent)


def append_line(path: Path, record: Mapping[str, Any]) -> None:
    """Append `record`, as `append_lines` does."""
    append_lines(path, [record])


def append_lines(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Append each record as one line of JSON; a line that a crash left half-written is removed.

    Raises:
        StorageError: the disk is full; the file is as it was.
        RunError: the file cannot be written to.
    """
    lines = "".join(json.dumps(record, allow_nan=False) + "\n" for record in records).encode()
    with storing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        with open(descriptor, "r+b", buffering=0) as file:
            end = _end_of_whole_lines(file.fileno())
            file.truncate(end)
            file.seek(end)
            try:
                written = file.write(lines)
                if written != len(lines):  # a full disk takes what still fits
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(file.fileno())
            except OSError:
                file.truncate(end)
                raise


def drop_unfinished_line(path: Path) -> None:
    """Remove the last line of a file if a crash or a full disk left it half-written.

    For files that a library appends to, which would write its next line onto that one.
    """
    if path.exists():
        with open(path, "r+b", buffering=0) as file:
            file.truncate(_end_of_whole_lines(file.fileno()))


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The records of a file that `append_lines` wrote; an unfinished last line is left out.

    Raises:
        CheckpointError: a finished line is not a JSON object.
    """
    if not path.exists():
        return []
    *lines, _unfinished = path.read_bytes().split(b"\n")
    return [_record(path, number, line) for number, line in enumerate(lines, start=1)]


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in `path`.

    Raises:
        CheckpointError: the file is missing or damaged.
    """
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CheckpointError(f"Cannot read '{path}': {reason(error)}.") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"Cannot read '{path}': it does not hold a JSON object.")
    return content


def read_document(
    path: Path,
    schema: int,
    advice: str = "Start a new run, or use the version of nas that wrote it.",
) -> dict[str, Any]:
    """A JSON document with its schema's version.

    Raises:
        CheckpointError: the file is missing or damaged.
        RunError: another version of nas wrote it; the message ends with the advice.
    """
    document = read_json(path)
    if document.get("schema") != schema:
        raise RunError(
            f"'{path}' has schema version {document.get('schema', 1)}; this version of nas reads "
            f"{schema}. {advice}"
        )
    return document


@contextlib.contextmanager
def lock(
    path: Path, *, wait: bool = True, say: Callable[[str], None] | None = None
) -> Iterator[None]:
    """Lock the file `path` against other processes; the lock ends with the process.

    Args:
        wait: Whether to wait until the lock is free; if not, a held lock is an error.
        say: Tells a person who is waited for.

    Raises:
        RunError: another process holds it, or the folder cannot be written to.
    """
    with storing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        _acquire(descriptor, path, wait, say)
        with storing(path):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def check_free(path: Path) -> None:
    """Find out before long work whether another process holds the lock of the file `path`.

    Raises:
        RunError: one does.
    """
    if path.exists():
        with lock(path, wait=False):
            pass


def cache_dir() -> Path:
    """The folder that keeps supernets and latency profiles between runs.

    `$NAS_CACHE_DIR`, else `$XDG_CACHE_HOME/nas`, else `~/.cache/nas`.
    """
    if own := os.environ.get("NAS_CACHE_DIR"):
        return Path(own).expanduser().absolute()
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared).expanduser().absolute() / "nas"
    return Path.home() / ".cache" / "nas"


def check_folder(folder: Path, advice: str = "Choose another folder.") -> None:
    """Find out before long work whether files can be written to a folder; nothing is left there.

    Args:
        folder: It need not exist; then the nearest folder above it that exists is tried.
        advice: What a person can do instead.

    Raises:
        RunError: it is a file, or lies in one, or cannot be written to.
        StorageError: the disk is full.
    """
    try:
        there = _nearest(folder)
        if not there.is_dir():
            kind = "a link to nowhere" if there.is_symlink() else "a file"
            raise RunError(f"'{there}' is {kind}. {advice}")
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        if error.errno in _DISK_FULL:
            with storing(folder):
                raise
        raise RunError(f"Cannot write to '{folder}': {error.strerror}. {advice}") from None


def check_file(path: Path) -> None:
    """Find out before long work whether a file can be written; an existing one is left as it is.

    Raises:
        RunError: it is a folder, or its folder cannot be written to.
        StorageError: the disk is full.
    """
    check_folder(path.parent)
    if path.is_dir():
        raise RunError(f"'{path}' is a folder. Name a file that is to be written.")


def check_cache() -> None:
    """Find out before long work whether the cache can be written to.

    Raises:
        RunError: it cannot; the message says how to choose another one.
        StorageError: the disk is full.
    """
    check_folder(cache_dir(), "Set NAS_CACHE_DIR to another folder.")


@contextlib.contextmanager
def storing(path: Path) -> Iterator[None]:
    """Turn the operating system's errors while `path` is written into messages with advice."""
    try:
        yield
    except OSError as error:
        if error.errno in _DISK_FULL and not isinstance(error, StorageError):
            raise StorageError(
                f"The disk is full ({error.strerror}): '{path}' was not written, and nothing was "
                "left half-written. Free some space, then run the same command again."
            ) from error
        if error.errno in _FORBIDDEN:
            raise RunError(
                f"Cannot write '{path}': {error.strerror}. "
                "Make its folder writable, or choose another one."
            ) from error
        if error.errno in _NOWHERE:
            raise RunError(
                f"Cannot write '{path}': {error.strerror}. Choose another folder."
            ) from error
        if error.errno in _NOT_A_FOLDER:
            raise RunError(
                f"Cannot write '{path}': {error.strerror}. A file and a folder are in each "
                "other's place; choose another folder."
            ) from error
        raise


def _nearest(path: Path) -> Path:
    """The path itself if there is something, else the nearest one above it that exists."""
    above = path.parents if path.is_absolute() else (*path.parents, Path.cwd())
    for each in (path, *above):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            each.lstat()  # a link to nowhere is something: no folder can be made in its place
            return each
    return path


def _acquire(descriptor: int, path: Path, wait: bool, say: Callable[[str], None] | None) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 32, 0).decode(errors="replace") or "unknown"
        if not wait:
            raise RunError(
                f"'{path.parent}' is in use by process {holder}. "
                "Wait until it is done, or stop it."
            ) from None
        if say is not None:
            say(f"waiting for process {holder}, which is at work in '{path.parent}'")
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def _record(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError:
        record = None
    if not isinstance(record, dict):
        raise CheckpointError(f"Line {number} of '{path}' is damaged: it is not a JSON object.")
    return record


def _end_of_whole_lines(descriptor: int) -> int:
    """The position after the last newline."""
    size = os.fstat(descriptor).st_size
    if size == 0 or os.pread(descriptor, 1, size - 1) == b"\n":
        return size
    return os.pread(descriptor, size, 0).rfind(b"\n") + 1


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
