"""What a machine offers to this process."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from nas.environment import KEPT_MEMORY, SPINS, keep_to_usable_cpus, torch_threads, usable_cpus

HERE = len(os.sched_getaffinity(0))


def test_without_control_groups_all_processors_are_used(tmp_path: Path) -> None:
    assert usable_cpus(tmp_path) == HERE


@pytest.mark.parametrize(
    ("text", "expected"),
    [("100000 100000", 1), ("50000 100000", 1), ("max 100000", HERE), ("9900000 100000", HERE)],
)
def test_the_quota_of_a_container_is_kept(tmp_path: Path, text: str, expected: int) -> None:
    (tmp_path / "cpu.max").write_text(f"{text}\n")
    assert usable_cpus(tmp_path) == expected


@pytest.mark.parametrize(("quota", "expected"), [(100000, 1), (-1, HERE)])
def test_the_first_version_of_control_groups_is_read(
    tmp_path: Path, quota: int, expected: int
) -> None:
    folder = tmp_path / "cpu"
    folder.mkdir()
    (folder / "cpu.cfs_quota_us").write_text(f"{quota}\n")
    (folder / "cpu.cfs_period_us").write_text("100000\n")
    assert usable_cpus(tmp_path) == expected


@pytest.mark.parametrize(("named", "expected"), [(None, 1), ("3", 3)])
def test_torch_keeps_to_the_quota_unless_threads_were_named(
    monkeypatch: pytest.MonkeyPatch, named: str | None, expected: int
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if named is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", named)
    with torch_threads(3):
        keep_to_usable_cpus(usable=1)
        assert torch.get_num_threads() == expected


def test_torch_is_given_no_more_threads_than_it_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with torch_threads(1):
        keep_to_usable_cpus(usable=64)
        assert torch.get_num_threads() == 1


WAITS = """
import os
import platform
import subprocess
import sys
from nas.environment import measuring_environment, share_processors
share_processors()
print(os.environ.get("GOMP_SPINCOUNT"), measuring_environment().get("GOMP_SPINCOUNT"))
"""


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({}, f"{SPINS} None"),
        ({"OMP_WAIT_POLICY": "active"}, "None None"),
        ({"GOMP_SPINCOUNT": "7"}, "7 7"),
    ],
)
def test_idle_threads_sleep_soon_unless_a_person_decided(
    chosen: dict[str, str], said: str
) -> None:
    ours = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    environment = {k: v for k, v in os.environ.items() if k not in ours} | chosen
    done = subprocess.run(
        [sys.executable, "-c", WAITS], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == said


KEEPS = """
import os
import platform
from nas.environment import KEPT_MEMORY, keep_memory, measuring_environment
keep_memory()
print(*(os.environ.get(name) for name in KEPT_MEMORY))
print(*(measuring_environment().get(name) for name in KEPT_MEMORY))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({}, "0 2147483647 1\nNone None None"),
        ({"MALLOC_ARENA_MAX": "2"}, "None None 2\nNone None 2"),
    ],
)
def test_memory_is_kept_unless_a_person_decided(chosen: dict[str, str], said: str) -> None:
    environment = {k: v for k, v in os.environ.items() if k not in KEPT_MEMORY} | chosen
    done = subprocess.run(
        [sys.executable, "-c", KEEPS], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == said
