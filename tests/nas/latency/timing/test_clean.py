"""Measuring in a process of its own: the same job, errors by name, and it ends with its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.errors import ExportError, NotFittedError
from nas.latency import Effort, Target, measure_finalists
from nas.latency.timing.clean import run_apart
from nas.latency.timing.job import Job, Timed, run_here
from nas.latency.timing.machines import machine_of
from nas.progress import Silent
from search_spaces.data_shape import DataShape
from search_spaces.space import SearchSpace

BRIEF = Effort(0.0, least=2, most=2)


def job_of(space: SearchSpace, by_part: int = 0) -> Job:
    codes = space.sample(3, np.random.default_rng(0))
    architectures = tuple(space.decode(code) for code in codes)
    return Job(architectures, Target("cpu", threads=1), DataShape(1, 4), BRIEF, by_part=by_part)


def test_a_job_and_its_times_survive_as_plain_data(space: SearchSpace) -> None:
    job = job_of(space, by_part=1)
    assert Job.from_dict(job.to_dict()) == job
    found = run_here(job, machine_of(job.target), Silent())
    again = Timed.from_dict(found.to_dict())
    assert again.to_dict() == found.to_dict()
    assert again.measurement.ms.tolist() == found.measurement.ms.tolist()


def test_networks_timed_by_part_have_a_time_for_each_part(space: SearchSpace) -> None:
    found = run_apart(job_of(space, by_part=2), Silent())
    pieces = [sample.ms.shape[1] for sample in found.samples if sample is not None]
    assert pieces[0] > 1 and pieces[1] > 1 and pieces[2] == 1


def test_finalists_are_measured_in_another_process(space: SearchSpace, heard: Any) -> None:
    job = job_of(space)
    found = measure_finalists(
        job.architectures, job.target, job.data_shape, effort=BRIEF, progress=heard
    )
    assert found.rounds == 2 and (found.ms > 0).all()
    assert "torch" in sys.modules and found.fits.all()


def program(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> str:
    """A module in place of the one that measures."""
    (folder / "stand_in.py").write_text(text)
    monkeypatch.syspath_prepend(str(folder))
    return "stand_in"


def test_an_error_of_the_other_process_is_the_same_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, space: SearchSpace
) -> None:
    said = """print('["error", ["ExportError", "it cannot be exported"]]')"""
    with pytest.raises(ExportError, match="it cannot be exported"):
        run_apart(job_of(space), Silent(), program(tmp_path, monkeypatch, said))


def test_a_defect_in_the_other_process_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, space: SearchSpace
) -> None:
    with pytest.raises(RuntimeError, match="ended with status 1: ZeroDivisionError"):
        run_apart(job_of(space), Silent(), program(tmp_path, monkeypatch, "1 / 0"))


def test_a_killed_process_is_said_to_be_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, space: SearchSpace
) -> None:
    text = "import os; os.kill(os.getpid(), 9)"
    with pytest.raises(NotFittedError, match=r"was killed \(signal 9\)"):
        run_apart(job_of(space), Silent(), program(tmp_path, monkeypatch, text))


def test_a_process_that_is_killed_in_the_middle_of_a_line_is_said_to_be_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, space: SearchSpace
) -> None:
    text = """import os; os.write(1, b'["timed", {"ms": [1.'); os.kill(os.getpid(), 9)"""
    with pytest.raises(NotFittedError, match=r"was killed \(signal 9\)"):
        run_apart(job_of(space), Silent(), program(tmp_path, monkeypatch, text))


PARENT = """
import sys
from nas.latency import Effort, Target, measure_finalists
from nas.progress import Silent
from search_spaces import load_space
import numpy as np

class Loud(Silent):
    def task(self, what, total):
        print("measuring", flush=True)
        return super().task(what, total)

space = load_space("hybrid-tiny")
found = [space.decode(code) for code in space.sample(2, np.random.default_rng(0))]
long = Effort(600.0, least=10**6, most=10**6)
measure_finalists(found, Target("cpu", threads=1), effort=long, progress=Loud())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_the_process_ends_with_its_parent(end: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None and parent.stderr is not None
        assert parent.stdout.readline() == "measuring\n"
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
        assert len(children) == 1
        parent.send_signal(end)
        parent.wait(timeout=60)
        said = parent.stderr.read()
    deadline = time.monotonic() + 60
    while _runs(int(children[0])) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _runs(int(children[0]))
    if end == signal.SIGINT:  # the parent's own traceback, because it is a bare script; one only
        assert said.count("Traceback") == 1


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
