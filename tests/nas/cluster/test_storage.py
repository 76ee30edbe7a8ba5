"""Where checkpoints go: folders and buckets, and what is said if they cannot be written to."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from nas.cluster.storage import Storage
from nas.errors import ClusterError

DENIED = b"""<?xml version="1.0"?><Error><Code>AccessDenied</Code>
<Message>Access Denied</Message></Error>"""


class Denies(BaseHTTPRequestHandler):
    """An S3 that knows nobody."""

    def do_PUT(self) -> None:
        self.send_response(403)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(DENIED)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(DENIED)

    do_GET = do_HEAD = do_POST = do_PUT

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of a bucket on this machine that nobody may write to; there are no credentials."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with HTTPServer(("127.0.0.1", 0), Denies) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        place = f"127.0.0.1:{server.server_port}"
        yield f"s3://bucket/runs?scheme=http&region=us-east-1&endpoint_override={place}"
        server.shutdown()


def test_a_bucket_without_credentials_is_refused(bucket: str) -> None:
    with pytest.raises(ClusterError, match="Give credentials that may write there") as caught:
        Storage.at(bucket).check()
    assert caught.value.exit_code == 2 and "\n" not in str(caught.value)


def test_a_place_that_does_not_answer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="it did not answer within 0.01 s"):
        Storage.at(tmp_path).check(seconds=0.01)


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ClusterError, match="Checkpoints cannot be kept at .*/file/runs'"):
        Storage.at(tmp_path / "file" / "runs").check()


@pytest.mark.parametrize("prefix", ["", "file://"])
def test_files_are_read_and_deleted(tmp_path: Path, prefix: str) -> None:
    storage = Storage.at(f"{prefix}{tmp_path}/runs")
    storage.check()
    mine = storage / "mine"
    (tmp_path / "runs" / "mine").mkdir()
    (tmp_path / "runs" / "mine" / "file").write_bytes(b"content")
    assert storage.read_at(f"{tmp_path}/runs/mine/file") == b"content"
    mine.delete()
    mine.delete()  # nothing is there
    assert not (tmp_path / "runs" / "mine").exists() and (tmp_path / "runs").exists()


def test_options_of_a_bucket_stay_at_the_end_and_its_key_is_not_shown() -> None:
    storage = Storage.at("s3://KEY:SECRET@bucket/nas?endpoint_override=host:9000")
    assert (storage / "net").url == "s3://KEY:SECRET@bucket/nas/net?endpoint_override=host:9000"
    assert storage.shown == "s3://bucket/nas?endpoint_override=host:9000"
    assert (Storage.at("/a?b") / "net").url == "/a?b/net"
