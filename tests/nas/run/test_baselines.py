"""Stock networks are trained for as many epochs as the best network of the search has had."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from nas.run.baselines import _epochs
from nas.settings import Settings


@pytest.mark.parametrize(
    ("changes", "epochs"),
    [
        ({}, 7 + 3),
        ({"from_scratch": True}, 3),  # the supernet's epochs were not its own
        ({"retrain_top": 0}, 7),
        ({"retrain_top": 0, "from_scratch": True}, 7),
        ({"baseline_epochs": 2}, 2),
    ],
)
def test_as_many_epochs_as_the_best_network_has_had(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], epochs: int
) -> None:
    monkeypatch.setattr("nas.run.baselines.recipe_of", lambda *_: SimpleNamespace(epochs=3))
    context = SimpleNamespace(recipe=SimpleNamespace(epochs=7))
    work: Any = SimpleNamespace(settings=Settings(**changes), context=context)
    assert _epochs(work) == epochs
