from __future__ import annotations

import json

import numpy as np
import pytest

from nas.data import Dataset, Images, Normalisation
from nas.errors import CheckpointError
from nas.retrain import NetworkResult, fresh_network, score_test, score_validation
from search_spaces import Architecture
from search_spaces.data_shape import DataShape
from supernet.scores import Evaluation
from supernet.training.recipe import Recipe


def images(count: int, seed: int) -> Images:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 255, (count, 6, 6, 1)).astype(np.uint8)
    return Images(pixels, rng.integers(0, 3, count))


class Watched(Dataset):
    """Counts how often its test split is opened."""

    opened = 0

    def open_test(self) -> Images:
        type(self).opened += 1
        return super().open_test()


@pytest.fixture
def dataset() -> Watched:
    Watched.opened = 0
    train = images(30, 0)
    return Watched(
        kind="npz",
        name="noise",
        id="0" * 12,
        classes=("a", "b", "c"),
        train=train,
        validation=images(20, 1),
        normalisation=Normalisation.of(train),
        notes=(),
        fit="squash",
        _test=images(25, 2),
    )


def test_the_test_split_is_opened_exactly_once(
    architecture: Architecture, dataset: Watched
) -> None:
    network = fresh_network(architecture, DataShape(1, 3), seed=0)
    score_validation(network, dataset)
    assert Watched.opened == 0
    score_test(network, dataset, batch_size=7)
    assert Watched.opened == 1


def test_scores_do_not_depend_on_the_batch_size_and_leave_the_mode(
    architecture: Architecture, dataset: Watched
) -> None:
    network = fresh_network(architecture, DataShape(1, 3), seed=0).train()
    one, other = score_test(network, dataset, 25), score_test(network, dataset, 4)
    assert one.accuracy == other.accuracy
    assert one.loss == pytest.approx(other.loss)
    assert network.training


RESULT = NetworkResult(
    id="0123456789ab",
    validation=Evaluation(0.98, 0.97, 0.1),
    test=Evaluation(0.99, 0.985, 0.05),
    from_scratch=True,
    seed=3,
    recipe=Recipe(epochs=7),
    curve=[{"epoch": 7.0, "loss": 0.1}],
    seconds=12.5,
)


def test_a_result_survives_its_file() -> None:
    assert NetworkResult.from_dict(json.loads(RESULT.to_json())) == RESULT


@pytest.mark.parametrize(
    "change",
    [{"schema": 2}, {"id": None, "more": 1}, {"test": {"accuracy": 1}}, {"recipe": {"epochs": 0}}],
)
def test_a_damaged_result_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(CheckpointError, match="result cannot be read: .* retrain the network"):
        NetworkResult.from_dict({**RESULT.to_dict(), **change})
