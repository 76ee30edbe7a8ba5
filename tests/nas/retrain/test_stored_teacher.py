from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from nas.errors import CheckpointError
from nas.retrain import fresh_network, retrain
from nas.retrain.stored_teacher import Answers, StoredTeacher, read, write
from search_spaces import Architecture
from search_spaces.data_shape import DataShape
from supernet.batches import TrainingData
from supernet.supervision import Step, Supervision
from supernet.training.recipe import Recipe

RECIPE = Recipe(epochs=2, batch_size=8, learning_rate=1e-2, drop_path=0.0)
SHAPE = DataShape(1, 3)


def asked(data: TrainingData, teacher: torch.nn.Module, steps: int = 8) -> Answers:
    content = write(teacher, data, resolution=8, batch_size=8, steps=steps, key="mine")
    return read(content, "mine")


def test_the_answers_are_the_teachers_to_the_very_images(
    architecture: Architecture, data: TrainingData
) -> None:
    teacher = fresh_network(architecture, SHAPE, seed=3).eval()
    answers = asked(data, teacher)
    with torch.no_grad():
        expected = teacher(data.batch(5, 8, 8).images).softmax(1)
    torch.testing.assert_close(answers.of(5), expected, rtol=2e-3, atol=1e-3)


def test_what_is_not_kept_is_spread_over_the_other_classes() -> None:
    answers = Answers(
        torch.tensor([[[0.5, 0.25]]]).half(), torch.tensor([[[7, 2]]]).short(), count=12
    )
    given = answers.of(0)[0]
    assert given[7] == 0.5 and given[2] == 0.25
    assert given.sum() == pytest.approx(1.0)
    others = [c for c in range(12) if c not in (2, 7)]
    torch.testing.assert_close(given[others], torch.full((10,), 0.025))


def test_ten_of_many_classes_are_kept() -> None:
    scores = torch.randn(8, 1000, generator=torch.Generator().manual_seed(0))

    class Many:
        def steps_per_epoch(self, batch_size: int) -> int:
            return 1

        def batch(self, step: int, batch_size: int, resolution: int) -> object:
            return type("Batch", (), {"images": scores})()

    answers = read(
        write(lambda x: x, Many(), resolution=8, batch_size=8, steps=1, key="k"),  # type: ignore[arg-type]
        "k",
    )
    assert answers.classes.shape == (1, 8, 10) and answers.classes.dtype == torch.int16
    best = scores.softmax(1).topk(10)
    assert torch.equal(answers.classes[0].long(), best.indices)
    left = (1 - best.values.sum(1)) / 990
    given = answers.of(0)
    worst = scores.argmin(dim=1)
    torch.testing.assert_close(given[range(8), worst], left, rtol=1e-2, atol=1e-5)


def test_a_network_learns_from_stored_answers_as_from_the_teacher_itself(
    architecture: Architecture, data: TrainingData
) -> None:
    teacher = fresh_network(architecture, SHAPE, seed=3).eval()

    class Live(Supervision):
        def losses(self, step: Step) -> Iterator[torch.Tensor]:
            (child,) = step.children
            batch = step.batch(child)
            with torch.no_grad():
                soft = teacher(batch.images).softmax(1)
            mixed = 0.5 * soft + 0.5 * batch.targets
            yield torch.nn.functional.cross_entropy(step.scores(child), mixed)

    curves = []
    for supervision in (Live(), StoredTeacher(asked(data, teacher))):
        network = fresh_network(architecture, SHAPE, seed=1)
        curves.append(retrain(network, data, RECIPE, supervision=supervision))
    for live, stored in zip(*curves, strict=True):
        assert stored["loss"] == pytest.approx(live["loss"], abs=2e-3)
    alone = retrain(fresh_network(architecture, SHAPE, seed=1), data, RECIPE)
    assert alone[0]["loss"] != pytest.approx(curves[0][0]["loss"], abs=2e-3)


def test_answers_to_other_images_are_refused(
    architecture: Architecture, data: TrainingData
) -> None:
    teacher = fresh_network(architecture, SHAPE, seed=3).eval()
    content = write(teacher, data, resolution=8, batch_size=8, steps=1, key="these")
    with pytest.raises(CheckpointError, match="those of these, not of others"):
        read(content, "others")
