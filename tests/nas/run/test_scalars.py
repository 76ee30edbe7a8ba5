"""What TensorBoard shows of a training, and what is told without TensorBoard."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import cast

import pytest

from nas.cluster.connection import Cluster
from nas.errors import MissingExtraError, SettingsError
from nas.progress import Silent
from nas.run.context import Context
from nas.run.recipe import read_recipe
from nas.run.scalars import Scalars, scalars_in
from nas.run.supernets import supernet_of
from nas.settings import Settings
from supernet.training.loop import TrainingProgress

INSTALLED = importlib.util.find_spec("tensorboard") is not None


class Writer:
    """Keeps what is written."""

    def __init__(self, first: int) -> None:
        self.first, self.closed = first, False
        self.written: list[tuple[str, float, int]] = []

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.written.append((name, value, step))

    def close(self) -> None:
        self.closed = True


def test_losses_and_the_curve_are_written_by_step() -> None:
    made: list[Writer] = []

    def make(first: int) -> Writer:
        made.append(Writer(first))
        return made[-1]

    with Scalars(make) as scalars:
        scalars.progress(TrainingProgress(7, 10, 0.5))
        scalars.progress(TrainingProgress(8, 10, 0.25))
        scalars.point({"epoch": 4.0, "loss": 0.4, "largest": 0.9, "cosine_2": -0.1})
    (writer,) = made
    assert (writer.first, writer.closed) == (7, True)
    assert writer.written == [
        ("loss", 0.5, 7),
        ("loss", 0.25, 8),
        ("largest", 0.9, 8),
        ("cosine_2", -0.1, 8),
    ]


def test_nothing_is_written_unless_asked_for() -> None:
    with Scalars() as scalars:
        scalars.progress(TrainingProgress(1, 10, 0.5))
        scalars.point({"epoch": 1.0, "loss": 0.5, "largest": 0.9})


def test_curves_do_not_change_which_supernet_it_is() -> None:
    assert not read_recipe({}).tensorboard
    keys = [
        Context(Settings(recipe={"tensorboard": asked})).supernet_key() for asked in (True, False)
    ]
    assert keys[0] == keys[1]


def test_curves_on_a_cluster_are_refused() -> None:
    context = Context(Settings(recipe={"tensorboard": True}))
    with pytest.raises(SettingsError, match="trained by this process. Leave out --ray"):
        supernet_of(context, Silent(), cast(Cluster, object()))


@pytest.mark.skipif(INSTALLED, reason="TensorBoard is installed")
def test_without_tensorboard_the_extra_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingExtraError, match=r"tensorboard=true needs .*\[tensorboard\]"):
        scalars_in(tmp_path)


@pytest.mark.skipif(not INSTALLED, reason="needs the extra 'tensorboard'")
def test_tensorboard_reads_them_and_hides_what_a_killed_training_wrote(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for first, loss in ((1, 0.5), (3, 0.25)):
        with scalars_in(tmp_path) as scalars:
            for step in range(first, 5):
                scalars.progress(TrainingProgress(step, 10, loss))
    read = EventAccumulator(str(tmp_path))
    read.Reload()
    assert [(each.step, each.value) for each in read.Scalars("loss")] == [
        (1, 0.5),
        (2, 0.5),
        (3, 0.25),
        (4, 0.25),
    ]
