"""Trainings in processes of their own end as in this process, whatever happens to a process."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from nas.baselines.choice import Stock
from nas.errors import DataError, TrialError
from nas.progress import Advance, Silent
from nas.run import side_by_side
from nas.run.context import Context
from nas.run.network_job import NetworkJob
from nas.run.side_by_side import PROGRAM, processes_for, train_side_by_side
from nas.run.stock_job import RESULT, StockJob
from nas.run.training_process import Order
from nas.settings import Settings
from supernet.training.checkpoint import from_bytes
from supernet.training.loop import Checkpoints
from supernet.training.recipe import Recipe

NOWHERE = Checkpoints("none", lambda: None, lambda content: None)


@pytest.fixture
def context(home: Path) -> Context:
    return Context(Settings(space=f"{home}/minute.yaml", data=f"npz:{home}/images.npz"))


def _job(context: Context, number: int, epochs: int = 2) -> NetworkJob:
    code = context.space.sample(2, np.random.default_rng(0))[number]
    return NetworkJob(
        settings=context.settings,
        data_id=context.data.id,
        architecture=context.space.decode(code),
        recipe=Recipe(epochs=epochs, batch_size=16, learning_rate=1e-2, drop_path=0.1),
        seed=0,
        start=None,
        teacher=None,
    )


def _trained(orders: list[Order], console: Silent | None = None) -> dict[int, bytes]:
    found: dict[int, bytes] = {}

    def done(number: int, content: bytes, seconds: float) -> None:
        assert seconds > 0
        found[number] = content

    train_side_by_side(orders, done, processes=2, console=console or Silent())
    return found


def _order(job: Callable[..., bytes], folder: Path) -> Order:
    return Order(job, {}, folder, steps=10, title=folder.name)


def test_networks_get_the_weights_that_they_would_have_got_here(
    context: Context, tmp_path: Path
) -> None:
    jobs = [_job(context, number) for number in (0, 1)]
    found = _trained([_order(job, tmp_path / str(n)) for n, job in enumerate(jobs)])
    for number, job in enumerate(jobs):
        network = job.begin(context, None)
        job.train(context, network, None, checkpoints=NOWHERE, progress=lambda now: None)
        weights, description = from_bytes(found[number], "test")
        assert description["id"] == job.architecture.id
        assert all(torch.equal(weights[k], v) for k, v in network.state_dict().items())
    assert [list(path.iterdir()) for path in tmp_path.iterdir()] == [[], []]


def test_a_stock_network_comes_back_with_its_result(context: Context, tmp_path: Path) -> None:
    job = StockJob(context.settings, context.data.id, Stock("lcnet_035", 32), epochs=1)
    found = _trained([_order(job, tmp_path / "stock")])
    here = job.train(context, lambda key: NOWHERE, lambda now: None)
    (there, said), (weights, known) = (from_bytes(each, "test") for each in (found[0], here))
    assert all(torch.equal(there[name], tensor) for name, tensor in weights.items())
    said[RESULT]["seconds"] = known[RESULT]["seconds"] = 0
    assert said == known


def test_what_a_process_refuses_is_told_here(context: Context, tmp_path: Path) -> None:
    job = replace(_job(context, 0), data_id="others")
    with pytest.raises(DataError, match=r"differ from the driver's \(.* instead of others\)"):
        _trained([_order(job, tmp_path / "0")])


def test_after_an_error_no_further_training_begins(context: Context, tmp_path: Path) -> None:
    refused = replace(_job(context, 0), data_id="others")
    jobs = [refused, *(_job(context, 1, epochs=100_000) for _ in range(3))]
    with pytest.raises(DataError, match="instead of others"):
        _trained([_order(job, tmp_path / str(n)) for n, job in enumerate(jobs)])
    assert not _children()


def test_a_network_that_could_not_be_kept_is_still_there(context: Context, tmp_path: Path) -> None:
    def full(number: int, content: bytes, seconds: float) -> None:
        raise OSError("No space left on device")

    order = _order(_job(context, 0), tmp_path / "0")
    with pytest.raises(OSError, match="No space left"):
        train_side_by_side([order], full, processes=1, console=Silent())
    assert from_bytes(order.trained.read_bytes(), "test")[0]


def test_what_a_failed_process_printed_is_in_the_log(context: Context, tmp_path: Path) -> None:
    order = _order(_job(context, 0), tmp_path / "n0")
    with pytest.raises(TrialError, match="n0: its process ended with status 1 ") as caught:
        train_side_by_side(
            [order], print, processes=1, console=Silent(), program="nas.run.no_such_program"
        )
    assert str(caught.value).endswith("What was done so far is kept.")
    assert "No module named nas.run.no_such_program" in str(caught.value.__cause__)


class _Killing(Silent):
    """Kills every training that this process has started, as soon as one has begun."""

    @contextmanager
    def task(self, what: str, total: int) -> Iterator[Advance]:
        def advance(done: int, note: str) -> None:
            for pid in _children():
                os.kill(pid, signal.SIGKILL)

        yield advance


def _children() -> list[int]:
    """The trainings that this process has started; others that it has started are left alone."""
    listed = (path.read_text() for path in Path("/proc/self/task").glob("*/children"))
    return [int(pid) for each in listed for pid in each.split() if _trains(pid)]


def _trains(pid: str) -> bool:
    try:
        return PROGRAM.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def test_a_killed_process_is_told_and_the_others_are_stopped(
    context: Context, tmp_path: Path
) -> None:
    orders = [_order(_job(context, n, epochs=100_000), tmp_path / f"n{n}") for n in (0, 1)]
    with pytest.raises(TrialError, match=r"n\d: its process ended with status -9 .*then continue"):
        _trained(orders, _Killing())
    assert not _children()


ENDED = """
import os, pickle, signal, subprocess, sys, threading
from nas.progress import Silent
from nas.run import side_by_side

order = pickle.load(open(sys.argv[1], "rb"))
class Printing(Silent):
    def task(self, what, total):
        import contextlib
        return contextlib.nullcontext(lambda done, note: os.kill(os.getpid(), signal.SIGKILL))
side_by_side.train_side_by_side([order], print, processes=1, console=Printing())
"""


def test_no_process_outlives_its_parent(context: Context, tmp_path: Path) -> None:
    order = _order(_job(context, 0, epochs=100_000), tmp_path / "0")
    (tmp_path / "order").write_bytes(pickle.dumps(order))
    parent = [sys.executable, "-c", ENDED, str(tmp_path / "order")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run(parent, env=environment).returncode == -signal.SIGKILL
    end = time.monotonic() + 20
    while (left := _orphans()) and time.monotonic() < end:
        time.sleep(0.2)
    assert not left


def _orphans() -> list[str]:
    """Training processes whose parent is gone."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            parent = (path.parent / "stat").read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        if parent == "1" and _trains(path.parent.name):
            found.append(path.parent.name)
    return found


class _Own:
    """The options of a family that a program has registered itself."""


def test_families_of_a_program_itself_and_a_gpu_are_trained_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    monkeypatch.setattr(side_by_side, "REGISTRIES", {})
    cpu = torch.device("cpu")
    assert [processes_for(n, cpu) for n in (1, 2, 5)] == [1, 2, 3]
    assert processes_for(5, torch.device("cuda")) == 1
    monkeypatch.setattr(side_by_side, "REGISTRIES", {"mixer": [SimpleNamespace(options=_Own)]})
    assert processes_for(5, cpu) == 1


def test_as_many_are_trained_at_once_as_the_memory_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    monkeypatch.setattr(side_by_side, "REGISTRIES", {})
    monkeypatch.setattr(side_by_side, "own_memory", lambda: 300)
    monkeypatch.setattr(side_by_side, "free_memory", lambda: 1000)
    assert processes_for(5, torch.device("cpu")) == 3
    monkeypatch.setattr(side_by_side, "free_memory", lambda: 100)
    assert processes_for(5, torch.device("cpu")) == 1
