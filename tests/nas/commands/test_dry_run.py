"""What a space can do on a target is told before anything is trained."""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.commands.dry_run import ASSUMED, dry_run, extremes_of
from nas.errors import DataError, InfeasibleError, NotFittedError, SettingsError
from nas.latency import Predictor, Target, predictor_for
from nas.progress import Silent
from nas.run.known_latencies import Known, feasibility_of
from nas.search.objectives import Budgets
from nas.settings import Settings
from nas.units import format_ms
from search_spaces import load_space
from search_spaces.data_shape import DataShape


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAS_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def predictor(cache: None) -> Predictor:
    return predictor_for(load_space("macro"), Target("a100"), DataShape(1, 10))


def _dry_run(**changes: Any) -> dict[str, Any]:
    settings = Settings(**{"space": "macro", "hardware": "a100", **changes})
    return dry_run(settings, console=Silent()).document


def test_the_extremes_are_those_of_the_whole_space(predictor: Predictor) -> None:
    choices = (range(gene.cardinality) for gene in predictor.space.genes)
    codes = np.array(list(itertools.product(*choices)))
    assert len(codes) == 3**8
    ms = predictor.predict(codes).ms
    found = extremes_of(predictor, "a100")
    fastest, median, slowest = (
        example.latency.predicted_ms for example in (found.fastest, found.median, found.slowest)
    )
    assert fastest == pytest.approx(ms.min(), rel=1e-12)
    assert slowest == pytest.approx(ms.max(), rel=1e-12)
    assert fastest < median < slowest


def test_a_budget_that_half_of_the_space_keeps_binds(predictor: Predictor, cache: None) -> None:
    (spread,) = feasibility_of(Known([predictor], None), Budgets()).spreads
    half = spread.median_ms
    found = _dry_run(budget_ms=half)
    assert found["binds"]
    assert found["share_within"] == pytest.approx(0.5, abs=0.02)


def test_a_budget_that_all_keep_does_not_bind_and_one_that_would_is_told(cache: None) -> None:
    settings = Settings(space="macro", hardware="a100", budget_ms=1e5)
    outcome = dry_run(settings, console=Silent())
    assert outcome.document["binds"] is False
    assert outcome.document["share_within"] == 1.0
    said = "\n".join(outcome.lines)
    assert "The budget does not bind: every one of 20,000 sampled architectures" in said
    assert "would bind;" in said
    assert "would leave half of them" in said
    below = _dry_run(budget_ms=0.999 * outcome.document["targets"][0]["binds_below_ms"])
    assert below["binds"]
    assert (
        _dry_run(budget_ms=outcome.document["targets"][0]["leaves_half_ms"])["share_within"] < 0.55
    )


def test_a_budget_that_nothing_keeps_names_the_fastest(predictor: Predictor, cache: None) -> None:
    fastest = extremes_of(predictor, "a100").fastest.latency.high_ms
    with pytest.raises(InfeasibleError, match=rf"up to {format_ms(fastest)}. Raise --budget"):
        _dry_run(budget_ms=0.99 * fastest)
    assert _dry_run(budget_ms=1.01 * fastest)["share_within"] < 0.01


def test_the_surer_an_interval_has_to_be_the_fewer_keep_a_budget(cache: None) -> None:
    half = _dry_run()["targets"][0]["leaves_half_ms"]
    shares = [
        _dry_run(budget_ms=half, confidence=c)["share_within"] for c in (0.5, 0.8, 0.9, 0.95)
    ]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 0.5 > shares[-1]


def test_a_dry_run_says_the_whole_target_and_what_it_rests_on(cache: None) -> None:
    settings = Settings(space="macro", hardware="RTX 4090", batch_size=4, precision="fp32")
    outcome = dry_run(settings, console=Silent())
    said = "\n".join(outcome.lines)
    assert "rtx4090 (eager, fp32, channels_last, batch 4, resolution as the" in said
    assert "predicted from kernels" in said
    assert "90 % interval: a factor of" in said
    assert "There is no budget." in said
    document = json.loads(json.dumps(outcome.document, allow_nan=False))
    assert document["architectures"] == 3**8
    (target,) = document["targets"]
    assert target["target"]["batch_size"] == 4
    assert not target["measured"]
    for name in ("fastest", "median", "slowest"):
        found = target[name]["latency"]
        assert found["target"] == "rtx4090"
        assert found["low_ms"] < found["predicted_ms"] < found["high_ms"]


def test_counted_budgets_are_checked_too(cache: None) -> None:
    assert 0 < _dry_run(max_params=2_000_000)["share_within"] < 1
    with pytest.raises(InfeasibleError, match="1,000 parameters"):
        _dry_run(max_params=1000)


def test_data_are_not_read_for_a_gpu(cache: None) -> None:
    for data, shape in (
        ("fashion-mnist:/nowhere", DataShape(1, 10)),
        ("cifar10:/nowhere", DataShape(3, 10)),
        ("folder:/nowhere", ASSUMED),
    ):
        found = _dry_run(data=data)
        assert (found["in_channels"], found["num_classes"]) == (shape.channels, shape.classes)


def test_a_processor_is_not_measured_for_a_dry_run(cache: None) -> None:
    with pytest.raises(NotFittedError, match="No latency was measured yet for 'macro'"):
        _dry_run(hardware="cpu", threads=1)
    with pytest.raises(DataError, match="does not exist"):
        _dry_run(hardware="cpu", data="folder:/nowhere")


def test_wrong_settings_are_told(cache: None) -> None:
    with pytest.raises(SettingsError, match="The recipe has no 'epoch'"):
        _dry_run(recipe={"epoch": 3})
    with pytest.raises(SettingsError, match="confidence"):
        _dry_run(confidence=0.3)


def test_nothing_is_written_but_caches(
    cache: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _dry_run(budget_ms=5.0)
    assert not list(tmp_path.iterdir())


def test_what_is_not_counted_is_not_known(predictor: Predictor) -> None:
    codes = predictor.space.sample(3, np.random.default_rng(0))
    measures = Known([predictor], None).measures(codes)
    for name, values in dataclasses.asdict(measures).items():
        assert np.isnan(values).all() == (name in ("macs", "params", "memory_mib"))
