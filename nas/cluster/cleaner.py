"""A small process that outlives its parent, and then ends what is left of the parent's Ray.

    python cleaner.py FOLDER      reads standard input, which ends with the parent

After `kill -9` of a program, Ray's agents go on for a minute. This process ends every process
that was started with `NAS_RAY_FOLDER=FOLDER` in its environment, and deletes the folder. It is
started as a file, without importing the project. Without /proc, as on macOS, it only deletes.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

FOLDER = "NAS_RAY_FOLDER"
"""The environment variable that marks the processes of one Ray."""
_PATIENCE_SECONDS = 5.0


@contextlib.contextmanager
def marked(folder: Path) -> Iterator[None]:
    """Processes that start in the block are marked as belonging to the folder's Ray."""
    os.environ[FOLDER] = str(folder)
    try:
        yield
    finally:
        del os.environ[FOLDER]


@contextlib.contextmanager
def cleaned_up(folder: Path) -> Iterator[None]:
    """When the block or this process ends, end the folder's processes and delete it."""
    cleaner = subprocess.Popen(
        [sys.executable, "-I", __file__, str(folder)],
        stdin=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C in a terminal is not for it
    )
    try:
        yield
    finally:
        assert cleaner.stdin is not None
        cleaner.stdin.close()
        cleaner.wait()


def processes_of(folder: str) -> list[int]:
    """The processes that were started with the folder's mark."""
    mark = f"{FOLDER}={folder}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


def main() -> None:
    """Wait for the parent's end, give Ray a moment to end by itself, then see to it."""
    folder = sys.argv[1]
    sys.stdin.buffer.read()
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while processes_of(folder) and time.monotonic() < deadline:
        time.sleep(0.1)
    for process in processes_of(folder):
        with contextlib.suppress(OSError):
            os.kill(process, signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
