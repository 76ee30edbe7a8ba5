"""The environment of a result: versions, machine, threads, commit. Imports nothing heavy."""

from __future__ import annotations

import ctypes
import importlib.metadata
import math
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PACKAGES = (
    "nas-vision",
    "torch",
    "timm",
    "torchvision",
    "numpy",
    "scipy",
    "scikit-learn",
    "optuna",
    "moocore",
    "matplotlib",
    "safetensors",
    "pydantic",
    "PyYAML",
    "typer",
    "rich",
)


SPINS = "1000"
"""How often an idle thread looks for work before it sleeps: some microseconds."""
KEPT_MEMORY = {
    "MALLOC_MMAP_MAX_": (-4, 0),
    "MALLOC_TRIM_THRESHOLD_": (-1, 2**31 - 1),
    "MALLOC_ARENA_MAX": (-8, 1),
}
"""Variables of the GNU C library, the numbers that `mallopt` knows them by, and values: no tensor
gets pages of its own, none are given back, and threads share them."""


def share_processors() -> None:
    """Let idle threads sleep soon, so that training does not starve beside other programs.

    An idle thread of torch waits for work in a loop, for milliseconds. Where another program
    needs the processor, the thread that has the work gets none meanwhile. A person's own choice,
    OMP_WAIT_POLICY or GOMP_SPINCOUNT, stays. Call it before torch is imported, and
    only where nothing is measured in this process.
    """
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = SPINS


def keep_memory() -> None:
    """Keep memory that was freed, instead of giving it back to the system each time.

    A training step makes and frees tensors of many megabytes. The GNU C library gives each back at
    once, and for the next one the system fills new pages with zeros
    (`scripts/kept_memory.py` measures it). A person's own choice stays. Call it only where nothing
    is measured in this process.
    """
    if platform.libc_ver()[0] != "glibc" or KEPT_MEMORY.keys() & os.environ.keys():
        return
    library = ctypes.CDLL(None)
    for name, (parameter, value) in KEPT_MEMORY.items():
        os.environ[name] = str(value)  # for processes that this one starts
        library.mallopt(parameter, value)


def measuring_environment() -> dict[str, str]:
    """The variables of a process that measures, as a person deploys a network.

    Without what `share_processors` and `keep_memory` set: idle threads that sleep make small
    networks slower, and kept memory makes large ones faster.
    """
    ours = {name: str(value) for name, (_, value) in KEPT_MEMORY.items()}
    ours["GOMP_SPINCOUNT"] = SPINS
    kept = {k: v for k, v in os.environ.items() if ours.get(k) != v}
    return {**kept, **same_modules()}


def same_modules() -> dict[str, str]:
    """The variable with which another process finds modules where this one does.

    Start it with `-P`: otherwise a file of the working directory, such as a person's own
    `random.py`, comes before Python's.
    """
    return {"PYTHONPATH": os.pathsep.join(place or os.getcwd() for place in sys.path)}


def environment() -> dict[str, Any]:
    """Everything that can change a number besides the settings."""
    return {
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "platform": platform.platform(),
        "cpu": cpu_name(),
        "usable_threads": usable_cpus(),
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS"),
        "commit": git_commit(),
        "command": [_without_password(word) for word in sys.argv],
    }


def _without_password(word: str) -> str:
    """A word of the command line whose address names no password."""
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", word)


def version(package: str) -> str | None:
    """The installed version, or None."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def cpu_name() -> str:
    """The processor's marketing name if the system gives it."""
    return cpu_field("model name") or platform.processor() or platform.machine()


def cpu_field(field: str) -> str | None:
    """A line of Linux' /proc/cpuinfo, for the first processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() == field:
            return value.strip()
    return None


def cpu() -> dict[str, Any]:
    """The machine's processor: name, cores, hardware threads, caches."""
    return {
        "model": cpu_name(),
        "cores": _cores(),
        "usable_threads": usable_cpus(),
        **_caches(),
    }


def usable_cpus(cgroups: Path = Path("/sys/fs/cgroup")) -> int:
    """Logical processors that this process may keep busy.

    A container has fewer than its host: by its affinity, or by the quota of its control group
    (`docker run --cpus 2`), rounded up.

    Args:
        cgroups: Where control groups are mounted.
    """
    if sys.platform != "linux":
        return os.cpu_count() or 1
    available = len(os.sched_getaffinity(0))
    quota = _cpu_quota(cgroups)
    return available if quota is None else max(1, min(available, math.ceil(quota)))


def _cpu_quota(cgroups: Path) -> float | None:
    """Processors that the control group allows; None without a limit."""
    second = _text(cgroups / "cpu.max").split()  # version 2: "200000 100000" or "max 100000"
    first = [_text(cgroups / "cpu" / f"cpu.cfs_{word}_us") for word in ("quota", "period")]
    for words in (second, first):
        try:
            quota, period = (int(word) for word in words)
        except ValueError:
            continue
        if quota > 0 and period > 0:
            return quota / period
    return None


def free_memory() -> int:
    """Bytes of memory that programs can still get; a very large number where nobody says."""
    for line in _text(Path("/proc/meminfo")).splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return sys.maxsize


def own_memory() -> int:
    """Bytes of memory that this process holds; 0 where nobody says."""
    for line in _text(Path("/proc/self/status")).splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def git_commit() -> str | None:
    """The commit of the checkout this code runs from, `+changes` when it is edited."""
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return None
    try:
        commit = _git(root, "rev-parse", "HEAD")
        return f"{commit}+changes" if _git(root, "status", "--porcelain", "-uno") else commit
    except (OSError, subprocess.SubprocessError):
        return None


def _cores() -> int | None:
    """Physical cores; hardware threads of one core list the same siblings."""
    topology = Path("/sys/devices/system/cpu").glob("cpu[0-9]*/topology/thread_siblings_list")
    return len({_text(siblings) for siblings in topology}) or None


def _caches() -> dict[str, str]:
    """Data caches of the first core, such as {"l1_cache": "48K", "l2_cache": "2048K"}."""
    indices = sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"))
    return {
        f"l{_text(index / 'level')}_cache": _text(index / "size")
        for index in indices
        if _text(index / "type") != "Instruction"
    }


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return "unknown"


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(root), *arguments],
        check=True,
        capture_output=True,
        text=True,
        timeout=10,
    ).stdout.strip()


@contextmanager
def torch_threads(n: int) -> Iterator[None]:
    """Torch on `n` threads within the block.

    With one thread, results do not depend on how many a machine has: sums that several threads
    compute differ in the last bits.
    """
    import torch  # takes seconds, and callers may not have imported it yet

    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def keep_to_usable_cpus(usable: int | None = None) -> None:
    """Torch on no more threads than this process may keep busy, unless a person decided.

    Torch counts the host's processors: in a container that may use two of a hundred, its threads
    would mostly wait for each other.

    Args:
        usable: Processors; None for those of this process.
    """
    import torch

    if os.environ.get("OMP_NUM_THREADS") is None:
        most = usable_cpus() if usable is None else usable
        if torch.get_num_threads() > most:
            torch.set_num_threads(most)
