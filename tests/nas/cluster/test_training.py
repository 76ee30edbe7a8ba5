"""Trainings on a cluster end as in one process, whatever happens to their workers."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from nas.cluster.connection import Cluster, ray_module
from nas.cluster.storage import Storage
from nas.cluster.training import train_on
from nas.cluster.training_worker import Job, Worker
from nas.cluster.trials import Manner, Trial, Tuning, run_trials
from nas.progress import Advance
from nas.run.context import Context
from nas.run.network_job import NetworkJob
from nas.run.supernets import SupernetJob, new_supernet, train_supernet
from nas.settings import Settings
from supernet.training.checkpoint import from_bytes
from supernet.training.loop import Checkpoints, TrainingProgress
from supernet.training.parallel.workers import Alone
from supernet.training.recipe import Recipe

pytestmark = [
    pytest.mark.ray,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore"),  # Ray warns of itself
]

SPACE = """
schema: 1
name: minute
norm: batch
resolution: 8
stem: [conv: {stride: [2, 1]}]
stages:
- {width: [8, 16], depth: [1, 2], mixers: [pool, depthwise: {kernel: [3, 5]}],
   channel_mixers: [none, mlp: {ratio: [1, 2]}]}
"""
NOWHERE = Checkpoints("none", lambda: None, lambda content: None)


class Heard:
    """A `Progress` that keeps what a person was told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def step(self, name: str) -> None:
        self.said.append(name)

    say = step

    @contextmanager
    def task(self, what: str, total: int) -> Iterator[Advance]:
        yield lambda done, note: None


@dataclass(frozen=True)
class Faulty:
    """A job that crashes once, or never ends."""

    job: Job
    fault: str
    flag: Path
    """Exists once it has crashed."""
    at: int = 5
    """The step after which it crashes."""

    def __call__(self, worker: Worker) -> bytes:
        if self.fault == "hangs":
            while True:
                time.sleep(1)

        told = worker.teller.progress

        def progress(now: TrainingProgress) -> None:
            told(now)
            last = isinstance(worker.workers, Alone) or not worker.workers.leads
            if now.step == self.at and last and not self.flag.exists():
                self.flag.touch()
                os.kill(os.getpid(), signal.SIGKILL)

        worker.teller.progress = progress
        return self.job(worker)


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    """A small space and its images; workers of a cluster can read both."""
    home = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    labels = np.arange(240) % 3
    images = rng.integers(0, 80, (240, 8, 8), dtype=np.uint8)
    for label in range(3):
        images[labels == label, label * 2 : label * 2 + 3] += 120
    np.savez(home / "images.npz", images=images, labels=labels)
    (home / "minute.yaml").write_text(SPACE)
    data, recipe = f"npz:{home}/images.npz", {"batch_size": 64}
    return Context(Settings(space=f"{home}/minute.yaml", data=data, epochs=6, recipe=recipe))


@pytest.fixture(scope="module", autouse=True)
def sent_to_workers() -> None:
    """Workers cannot import this module, so its classes travel with the jobs."""
    ray_module().cloudpickle.register_pickle_by_value(sys.modules[__name__])


def network_job(context: Context, number: int, epochs: int = 3) -> NetworkJob:
    code = context.space.sample(3, np.random.default_rng(0))[number]
    return NetworkJob(
        settings=context.settings,
        data_id=context.data.id,
        architecture=context.space.decode(code),
        recipe=Recipe(epochs=epochs, batch_size=32, learning_rate=1e-2, drop_path=0.1),
        seed=0,
        start=None,
        teacher=None,
    )


def trained_here(context: Context, job: NetworkJob) -> dict[str, torch.Tensor]:
    """The weights without a cluster."""
    network = job.begin(context, None)
    job.train(context, network, None, checkpoints=NOWHERE, progress=lambda now: None)
    return network.state_dict()


def test_a_supernet_whose_worker_is_killed_is_what_one_process_makes(
    local_ray: Cluster, context: Context, tmp_path: Path
) -> None:
    supernet, losses = new_supernet(context), list[float]()
    curve = train_supernet(
        context, supernet, None, checkpoints=NOWHERE, progress=lambda now: losses.append(now.loss)
    )
    heard, key = Heard(), context.supernet_key(device="cpu")
    content = train_on(
        local_ray,
        Faulty(SupernetJob(context.settings, key, "cpu", 1), "crashes", tmp_path / "flag"),
        name=f"supernet-{key}",
        title="training",
        storage=Storage.at(tmp_path / "storage"),
        console=heard,
        seconds=0,
    )
    tensors, description = from_bytes(content, "trained")
    assert (tmp_path / "flag").exists()
    for mine, theirs in zip(curve, description["curve"], strict=True):
        assert theirs["loss"] == pytest.approx(mine["loss"], abs=1e-3)
    for name, weight in supernet.state_dict().items():
        torch.testing.assert_close(tensors[name], weight, atol=0.02, rtol=0)
    assert heard.said[0] == "training: 2 workers"
    assert any("worker 1 failed" in line for line in heard.said)
    # A checkpoint follows each step but the one that killed; Ray may not know the last one yet.
    assert any(f"goes on from step {n} of" in line for line in heard.said for n in (3, 4))
    assert list((tmp_path / "storage").iterdir()) == []


def test_a_hung_and_a_crashed_network_do_not_hold_up_the_third(
    local_ray: Cluster, context: Context, tmp_path: Path
) -> None:
    hangs, crashes, fine = (network_job(context, number) for number in range(3))
    trials = [
        Trial("hangs", "the first", Faulty(hangs, "hangs", tmp_path / "no-flag")),
        Trial("crashes", "the second", Faulty(crashes, "crashes", tmp_path / "flag")),
        Trial("fine", "the third", fine),
    ]
    heard = Heard()
    first, second, third = run_trials(
        local_ray,
        trials,
        Manner(limit_s=90, checkpoint_s=0),
        storage=Storage.at(tmp_path / "storage"),
        shared={},
        console=heard,
    )
    assert first.outcome == "over the limit" and first.content is None
    assert second.outcome == "done" and len(second.failures) == 1
    assert any("the second: goes on from step" in line for line in heard.said)
    assert third.outcome == "done" and third.failures == ()
    for ended, job in ((second, crashes), (third, fine)):
        assert ended.content is not None
        tensors, _ = from_bytes(ended.content, "trained")
        for name, weight in trained_here(context, job).items():
            assert torch.equal(tensors[name], weight), name


def test_values_of_the_recipe_are_tuned_and_ended_trials_are_not_repeated(
    local_ray: Cluster, context: Context, tmp_path: Path
) -> None:
    job = network_job(context, 0, epochs=2)
    ranges = {"learning_rate": (1e-3, 1e-2), "layer_decay": (0.6, 1.0)}
    ended = run_trials(
        local_ray,
        [Trial("one", "training", job)],
        Manner(early=True),
        storage=Storage.at(tmp_path),
        shared={},
        console=Heard(),
        tuning=Tuning(ranges, trials=2),
    )
    assert len(ended) == 2 and {each.outcome for each in ended} <= {"done", "stopped early"}
    for each in ended:
        assert all(low <= each.values[name] <= high for name, (low, high) in ranges.items())
    best = max((each for each in ended if each.content), key=lambda each: each.score)
    weights = trained_here(context, job.changed(best.values))
    tensors, description = from_bytes(best.content or b"", "trained")
    assert description["curve"][-1]["accuracy"] == best.score
    assert all(torch.equal(tensors[name], weight) for name, weight in weights.items())
