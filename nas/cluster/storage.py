"""Where a training on a cluster keeps its checkpoints: a folder that all nodes see, or a bucket.

    /mnt/shared/nas      file:///mnt/shared/nas      s3://bucket/path      gs://bucket/path

Whatever pyarrow can open will do. It is tried before anything starts, because a bucket without
credentials or network keeps Ray waiting for minutes.
"""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.errors import ClusterError

_SECONDS = 12.0
"""A bucket that does not answer within this time cannot be used."""
_TRY = """
import sys
from pyarrow.fs import FileSystem
files, path = FileSystem.from_uri(sys.argv[1])
files.create_dir(path)
with files.open_output_stream(path + "/.written-by-nas") as file:
    file.write(b"This place can be written to.")
"""


@dataclass(frozen=True)
class Storage:
    """A place for checkpoints, as an absolute path or a URL."""

    url: str

    @classmethod
    def at(cls, place: str | Path) -> Storage:
        """The storage at a path or URL; a path becomes absolute."""
        text = str(place)
        return cls(text if "://" in text else str(Path(text).expanduser().absolute()))

    def __truediv__(self, name: str) -> Storage:
        place, sign, options = self.url.partition("?") if "://" in self.url else (self.url, "", "")
        return Storage(f"{place.rstrip('/')}/{name}{sign}{options}")

    @property
    def shown(self) -> str:
        """The place without a key or password."""
        return re.sub(r"://[^/]*@", "://", self.url)

    def check(self, seconds: float = _SECONDS) -> None:
        """Write a small file.

        Raises:
            ClusterError: it cannot be written to, or does not answer within that time.
        """
        # In a process of its own, which can be ended: pyarrow has no time limit that holds.
        program = [sys.executable, "-c", _TRY, self._uri]
        try:
            tried = subprocess.run(
                program, timeout=seconds, capture_output=True, text=True, check=False
            )
        except subprocess.TimeoutExpired:
            why = f"it did not answer within {seconds:g} s"
        else:
            if tried.returncode == 0:
                return
            why = (tried.stderr.strip().splitlines() or ["unknown reason"])[-1][:300]
        raise ClusterError(
            f"Checkpoints cannot be kept at '{self.shown}': {why}. {self._advice} or choose a "
            "folder that all nodes see: --storage file:///PATH."
        )

    def read_at(self, path: str) -> bytes:
        """The content of a file, by its path as Ray gives it: without the kind of storage."""
        files, _ = self._open()
        with files.open_input_stream(path) as file:
            content: bytes = file.read()
        return content

    def delete(self) -> None:
        """Delete it with everything below, if it is there."""
        from pyarrow.fs import FileType

        files, path = self._open()
        if files.get_file_info(path).type == FileType.Directory:
            files.delete_dir(path)

    @property
    def _uri(self) -> str:
        return self.url if "://" in self.url else Path(self.url).as_uri()

    @property
    def _advice(self) -> str:
        if self.url.startswith("s3://"):
            return (
                "Give credentials that may write there (AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY, or a profile or role) and the bucket's AWS_REGION,"
            )
        return "Make it writable,"

    def _open(self) -> tuple[Any, str]:
        from pyarrow.fs import FileSystem

        files, path = FileSystem.from_uri(self._uri)
        return files, path.rstrip("/")
