"""An external teacher: its answers are targets, also for images without labels."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nas.data.batches import Batch
from search_spaces.architecture import Architecture
from search_spaces.errors import WeightsError
from search_spaces.network import Wrap
from search_spaces.space import load_space
from supernet import Supernet
from supernet.method import Setup, choose
from supernet.sampling import Child, Moment
from supernet.supervision import SUPERVISIONS
from supernet.supervision.teacher import Teacher, TeacherOptions
from supernet.training.memory import MemoryPlan
from supernet.training.parallel.workers import Alone
from supernet.training.recipe import Recipe
from supernet.training.step import RunningStep

SPACE = load_space("hybrid-cifar")


class Knows:
    """A teacher that is sure of the class 3, with two more images per step."""

    def __init__(self, extra: int) -> None:
        self.extra = extra

    def probabilities(self, images: Tensor) -> Tensor:
        return F.one_hot(torch.full((len(images),), 3), 10).float()

    def unlabelled(self, step: int, batch_size: int, resolution: int) -> Tensor | None:
        return torch.ones(self.extra, 1, resolution, resolution) if self.extra else None


def _step() -> tuple[RunningStep, list[tuple[int, int]]]:
    seen: list[tuple[int, int]] = []

    def maps(images: Tensor, child: Architecture, wrap: Wrap):  # type: ignore[no-untyped-def]
        seen.append((len(images), images.shape[-1]))
        yield "stages.0", torch.arange(8.0).reshape(1, 2, 2, 2).expand(len(images), -1, -1, -1)
        yield "head", torch.zeros(len(images), 10, requires_grad=True)

    def batch(side: int) -> Batch:
        return Batch(torch.zeros(4, 1, side, side), torch.eye(10)[:4], torch.arange(4))

    children = [Child(SPACE.decode(SPACE.largest())), Child(SPACE.decode(SPACE.smallest()))]
    cpu, alone = torch.device("cpu"), Alone()
    step = RunningStep(
        Moment(5, 10), children, maps, batch, cpu, alone, MemoryPlan(Recipe(), alone)
    )
    return step, seen


@pytest.mark.parametrize("extra", [0, 2])
def test_each_child_sees_its_images_and_those_without_labels(extra: int) -> None:
    step, seen = _step()
    losses = list(Teacher(TeacherOptions(), Knows(extra)).losses(step))
    assert seen == [(4 + extra, 32), (4 + extra, 24)]
    for loss in losses:
        torch.testing.assert_close(loss, torch.log(torch.tensor(10.0)))


def test_features_are_means_of_the_map_before_the_scores() -> None:
    step, _ = _step()
    features, scores = step.features(step.children[0])
    torch.testing.assert_close(features, torch.tensor([[1.5, 5.5]]).expand(4, 2))
    assert scores.shape == (4, 10)


def test_the_first_child_needs_the_whole_batch() -> None:
    step, _ = _step()
    step.children = (Child(step.children[0].architecture, end=0.5),)
    with pytest.raises(ValueError, match="needs all of them"):
        list(Teacher(TeacherOptions(), Knows(0)).losses(step))


def test_the_supervision_asks_for_a_teacher() -> None:
    setup = Setup(Supernet(SPACE), lambda codes: codes.sum(axis=1).astype(float))
    with pytest.raises(WeightsError, match="needs a teacher: give --teacher"):
        choose(SUPERVISIONS, "teacher", {}).make(setup)
