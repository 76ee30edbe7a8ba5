"""A space's tables are traced once and kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.latency.gpu.predictor import GpuModel, GpuPredictor
from nas.latency.target import Target
from search_spaces import load_space
from search_spaces.space import SearchSpace


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NAS_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "latency"


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return load_space("macro")


def _never(*arguments: Any, **more: Any) -> None:
    raise AssertionError("a part was traced")


def _ms(predictor: GpuPredictor) -> np.ndarray:
    return predictor.predict(predictor.space.sample(9, np.random.default_rng(0))).ms


def test_a_second_predictor_traces_nothing_and_predicts_the_same(
    space: SearchSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = GpuPredictor(space, Target("a100"))
    monkeypatch.setattr(GpuModel, "kernels", _never)
    second = GpuPredictor(space, Target("a100"))
    np.testing.assert_array_equal(_ms(first), _ms(second))
    assert first.id == second.id
    sure = GpuPredictor(space, Target("a100"), confidence=0.95)
    np.testing.assert_array_equal(_ms(first), _ms(sure))
    assert sure.id != first.id


@pytest.mark.parametrize(
    ("target", "images"),
    [
        (Target("a100", batch_size=2), (3, 10)),
        (Target("h100"), (3, 10)),
        (Target("a100", runtime="compile"), (3, 10)),
        (Target("a100"), (1, 10)),
    ],
)
def test_what_changes_a_prediction_has_tables_of_its_own(
    space: SearchSpace, target: Target, images: tuple[int, int], cache: Path
) -> None:
    usual = GpuPredictor(space, Target("a100"))
    other = GpuPredictor(space, target, *images)
    assert other.id != usual.id
    assert len(list(cache.glob("*-parts-*.json"))) == 2


def test_damaged_tables_are_made_anew(space: SearchSpace, cache: Path) -> None:
    first = GpuPredictor(space, Target("a100"))
    (path,) = cache.glob("a100-parts-*.json")
    for damage in ("{", "{}", '{"device_ms": [1.0], "host_ms": [1.0]}'):
        path.write_text(damage)
        np.testing.assert_array_equal(_ms(GpuPredictor(space, Target("a100"))), _ms(first))


def test_a_cache_that_cannot_be_written_is_done_without(
    space: SearchSpace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NAS_CACHE_DIR", str(tmp_path / "file"))
    assert (_ms(GpuPredictor(space, Target("a100"))) > 0).all()
