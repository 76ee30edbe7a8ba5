"""Gradients of a step's children are compared and projected as the equations say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from search_spaces.data_shape import DataShape
from search_spaces.space import SearchSpace
from supernet import Supernet
from supernet.batches import TrainingData
from supernet.method import Setup
from supernet.sampling.sandwich import Sandwich, SandwichOptions
from supernet.supervision import Supervision
from supernet.supervision.labels import Labels
from supernet.supervision.ranking import Ranking, RankingOptions
from supernet.training.conflicts import Conflicts
from supernet.training.loop import Checkpoints, Curve, TrainingProgress
from supernet.training.parallel.workers import Alone
from supernet.training.recipe import Projected, Recipe
from supernet.training.train import train


def _gradients(
    given: list[list[list[float] | None]], projected: Projected | None
) -> tuple[list[list[float]], dict[str, float]]:
    """Gradients of two weights after losses with these gradients, and the cosines."""
    weights = [nn.Parameter(torch.zeros(2, dtype=torch.float64)) for _ in range(2)]
    conflicts = Conflicts(weights, len(given), projected, Alone())
    for each in given:
        used = [(w, torch.tensor(g)) for w, g in zip(weights, each, strict=True) if g is not None]
        conflicts.backward(torch.stack([(w * g).sum() for w, g in used]).sum())
    return [w.grad.tolist() for w in weights], conflicts.cosines()  # type: ignore[union-attr]


TEACHER, AGAINST, ALONG = [[2.0, 0.0], [0.0, 1.0]], [[-1.0, 3.0], None], [[1.0, 1.0], [1.0, 0.0]]


def test_without_projection_gradients_add_up() -> None:
    total, cosines = _gradients([TEACHER, AGAINST, ALONG], None)
    assert total == [[2.0, 4.0], [1.0, 1.0]]
    # -2 / (sqrt 5 sqrt 10) and 2 / (sqrt 5 sqrt 3): an unused weight counts as zero.
    assert cosines == pytest.approx({"cosine_2": -(0.08**0.5), "cosine_3": (4 / 15) ** 0.5})


def test_children_lose_what_points_against_the_teacher() -> None:
    total, cosines = _gradients([TEACHER, AGAINST, ALONG], "children")
    assert total == [[3.0, 4.0], [1.0, 1.0]]  # the second child's first weight gives (0, 3)
    assert cosines["cosine_2"] < 0  # as before the projection


def test_the_teacher_loses_what_points_against_the_others() -> None:
    total, _ = _gradients([[[2.0, 0.0], [0.0, 1.0]], [[-1.0, 1.0], None]], "teacher")
    assert total == [[0.0, 2.0], [0.0, 1.0]]  # (2, 0) + (-1, 1) becomes (1, 1) + (-1, 1)
    agreeing, _ = _gradients([TEACHER, ALONG], "teacher")
    assert agreeing == [[3.0, 1.0], [1.0, 1.0]]


def test_a_gradient_of_zero_changes_nothing() -> None:
    zero: list[list[float] | None] = [[0.0, 0.0], [0.0, 0.0]]
    for projected in ("children", "teacher"):
        total, cosines = _gradients([zero, ALONG], projected)  # type: ignore[arg-type]
        assert total == ALONG and cosines == {"cosine_2": 0.0}


def test_nothing_is_compared_with_a_teacher_that_rests() -> None:
    for projected in (None, "children", "teacher"):
        weights = [nn.Parameter(torch.zeros(2)) for _ in range(2)]
        conflicts = Conflicts(weights, 3, projected, Alone())  # type: ignore[arg-type]
        conflicts.backward(torch.tensor(1.0))
        conflicts.backward((weights[0] * torch.tensor([1.0, 2.0])).sum())
        conflicts.backward((weights[0] * torch.tensor([-1.0, 1.0])).sum())
        assert weights[0].grad is not None and weights[0].grad.tolist() == [0.0, 3.0]
        assert weights[1].grad is None and conflicts.cosines() == {}


def test_several_rounds_of_losses_are_compared_one_by_one() -> None:
    weight = nn.Parameter(torch.zeros(2))
    conflicts = Conflicts([weight], 2, "children", Alone())
    for gradient in ([1.0, 0.0], [-1.0, 1.0], [0.0, 1.0], [1.0, -1.0]):
        conflicts.backward((weight * torch.tensor(gradient)).sum())
    assert weight.grad is not None and weight.grad.tolist() == [2.0, 2.0]


Train = Callable[..., Any]


def _train(
    space: SearchSpace, data: TrainingData, supervision: Supervision | None = None, **how: Any
) -> tuple[Curve, dict[str, Tensor]]:
    recipe = {name: how.pop(name) for name in list(how) if name in Recipe.model_fields}
    net = Supernet(space, DataShape(1, 2), seed=3)
    curve = train(
        net,
        data,
        Recipe(epochs=2, batch_size=8, learning_rate=1e-2, **recipe),
        Sandwich(space, SandwichOptions()),
        supervision or Labels(),
        **how,
    )
    return curve, net.state_dict()


def test_the_curve_shows_cosines_if_the_recipe_asks(
    space: SearchSpace, blobs: TrainingData
) -> None:
    plain, expected = _train(space, blobs)
    curve, weights = _train(space, blobs, gradient_cosines=True)
    assert plain[0].keys() == {"epoch", "loss"}
    assert curve[1].keys() == {"epoch", "loss", "cosine_2", "cosine_3", "cosine_4"}
    assert all(-1 <= entry[f"cosine_{child}"] <= 1 for entry in curve for child in (2, 3, 4))
    assert [entry["loss"] for entry in curve] == pytest.approx([e["loss"] for e in plain])
    torch.testing.assert_close(weights, expected)


def test_one_loss_of_all_children_has_no_cosines(space: SearchSpace, blobs: TrainingData) -> None:
    setup = Setup(Supernet(space, DataShape(1, 2)), lambda codes: codes.sum(1).astype(float))
    ranking = Ranking(setup, RankingOptions())
    curve, _ = _train(space, blobs, ranking, gradient_cosines=True)
    assert curve[0].keys() == {"epoch", "loss"}


@pytest.mark.parametrize("projected", ["children", "teacher"])
def test_projection_trains_and_continues_to_the_same(
    space: SearchSpace, blobs: TrainingData, projected: str
) -> None:
    kept: list[bytes] = []
    checkpoints = Checkpoints("key", lambda: kept[-1] if kept else None, kept.append, seconds=0)

    def kill(now: TrainingProgress) -> None:
        if now.step == 3:
            raise KeyboardInterrupt

    how = {"gradient_projection": projected, "checkpoints": checkpoints}
    through = _train(space, blobs, gradient_projection=projected)
    with pytest.raises(KeyboardInterrupt):
        _train(space, blobs, progress=kill, **how)
    curve, weights = _train(space, blobs, **how)
    assert curve == through[0]
    assert all(torch.equal(weights[name], through[1][name]) for name in weights)
    _, plain = _train(space, blobs)
    assert any(not torch.equal(weights[name], plain[name]) for name in weights)
