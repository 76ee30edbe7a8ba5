"""One Ray that the tests share, `nas` as a program, and clusters of several nodes on loopback."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nas.cluster.cleaner import FOLDER, cleaned_up, processes_of
from nas.cluster.connection import Cluster, connected
from nas.cluster.resources import RayChoice

SPACE = """
schema: 1
name: small
resolution: [8, 12]
stem: [conv: {stride: [2, 1]}]
stages:
- width: [8, 16]
  depth: [1, 2]
  mixers: [pool, depthwise: {kernel: [3, 5]}, attention]
  channel_mixers: [none, mlp: {ratio: [1, 2]}]
- {width: [16, 24], depth: [1, 2], stride: 2, downsampling: conv, mixers: [pool, linear]}
"""
PROGRAM = [sys.executable, "-c", "from nas.cli import main; main()"]


if importlib.util.find_spec("ray") is None:  # not imported: `connected` prepares that
    pytest.skip("the extra 'ray' is not installed", allow_module_level=True)


@pytest.fixture(scope="session")
def local_ray() -> Iterator[Cluster]:
    """Ray on this machine with two workers; this process is connected to it."""
    with connected(RayChoice("local", most=2)) as cluster:
        yield cluster


class Nas:
    """The program, with a cache and a folder for temporary files of its own."""

    def __init__(self, home: Path, temporary: Path) -> None:
        self.home, self.temporary = home, temporary
        self.started: list[subprocess.Popen[str]] = []
        (home / "small.yaml").write_text(SPACE)
        hidden = ("RAY_", FOLDER)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(hidden)}
        here = str(Path(__file__).parents[3])
        self.environment = kept | {
            "NAS_CACHE_DIR": str(home / "cache"),
            "TMPDIR": str(temporary),
            "OMP_NUM_THREADS": "1",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),  # of the clusters that `nodes` makes
            "PYTHONPATH": os.pathsep.join([here, kept.get("PYTHONPATH", "")]).rstrip(os.pathsep),
        }

    def start(self, *words: str) -> subprocess.Popen[str]:
        """A command in the background; its messages are in `stderr`."""
        process = subprocess.Popen(
            [*PROGRAM, *words],
            env=self.environment,
            cwd=self.home,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def run(self, *words: str, timeout: float = 240) -> tuple[int, str]:
        """Exit status and messages of a command, which may take so many seconds."""
        process = self.start(*words)
        _, said = process.communicate(timeout=timeout)
        return process.returncode, said

    def search(self, out: str, *words: str, evaluations: int = 240) -> list[str]:
        """The words of a search in the small space, up to its front."""
        fixed = "search --space small.yaml --epochs 3 --hardware cpu --threads 1 --until search"
        return [
            *fixed.split(),
            *("--searcher", "evolution", "--evaluations", str(evaluations), "--out", out),
            *words,
        ]

    def wait_for_lines(self, process: subprocess.Popen[str], out: str, lines: int) -> None:
        """Wait until a search has recorded some evaluations."""
        record = self.home / out / "evaluations.jsonl"
        while not record.exists() or record.read_bytes().count(b"\n") < lines:
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)


@pytest.fixture(scope="session")
def nas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nas]:
    """The program, and `whole/`: the small space searched by one process."""
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as short:  # for Ray's sockets
        nas = Nas(tmp_path_factory.mktemp("nas"), Path(short))
        status, said = nas.run(*nas.search("whole"))
        assert status == 0, said
        yield nas
        for process in nas.started:
            if process.poll() is None:
                process.kill()
                process.communicate()


NODES = """
import sys
from ray.cluster_utils import Cluster

cluster, nodes = Cluster(), []
how = {"num_cpus": 1, "object_store_memory": 100 * 2**20}
cluster.add_node(include_dashboard=False, **how)
print(cluster.address, flush=True)
for line in sys.stdin:
    if line == "add\\n":
        nodes.append(cluster.add_node(**how))
    else:
        cluster.remove_node(nodes.pop(), allow_graceful=False)
    print("done", flush=True)
"""


class Nodes:
    """A cluster of nodes with one processor each, all on 127.0.0.1, in a process of its own."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder = folder
        self._process = subprocess.Popen(
            [sys.executable, "-c", NODES],
            env=environment
            | {
                FOLDER: str(folder),
                "RAY_AUTH_MODE": "token",
                "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # only loopback
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.address = self._line()

    def add(self) -> None:
        """Another node beside the head."""
        self._order("add")

    def wait_until_two_evaluate(self) -> None:
        """Wait until both workers evaluate; the first is held until then, and so is the search."""
        while not (first := self._titled(b"ray::Worker.evaluate")):
            time.sleep(0.02)
        os.kill(first[0], signal.SIGSTOP)
        while not set(self._titled(b"ray::Worker.evaluate")) - set(first):
            time.sleep(0.02)
        os.kill(first[0], signal.SIGCONT)

    def kill_node(self) -> None:
        """`kill -9` of the node that was added last; its worker ends with it."""
        self._order("kill")
        while len(self._titled(b"ray::Worker")) > 1:
            time.sleep(0.02)

    def _titled(self, title: bytes) -> list[int]:
        """The processes whose title, which Ray sets to what they do, begins like this."""
        return [one for one in processes_of(str(self._folder)) if _title(one).startswith(title)]

    def kill(self) -> None:
        """`kill -9` of the head and all nodes."""
        self._process.kill()
        self._process.communicate()

    def _order(self, word: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        assert self._line() == "done"

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


def _title(process: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_bytes()
    return b""


@pytest.fixture
def nodes(nas: Nas) -> Iterator[Nodes]:
    """A cluster with a head alone."""
    folder = Path(tempfile.mkdtemp(prefix="n", dir=nas.temporary))
    with cleaned_up(folder):
        nodes = Nodes(folder, nas.environment)
        yield nodes
        nodes.kill()
