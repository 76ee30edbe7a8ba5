"""The end of the flow: stock networks, the comparison on the test split, what is recommended."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from nas import pipeline
from nas.baselines.result import StockResult
from nas.cli.console import show_result
from nas.commands import steps as commands
from nas.errors import CheckpointError, SettingsError, UnknownNameError
from nas.export.load import read_description
from nas.latency import Effort, Plan, Target, predictor_for
from nas.progress import Silent
from nas.result import RunResult
from nas.run import compare
from nas.run.baselines import stock_results
from nas.run.compare import read_comparison
from nas.run.front import network_folder
from nas.run.measure import read_measured
from nas.run.retraining import Retraining
from nas.settings import Settings
from search_spaces import load_space
from search_spaces.data_shape import DataShape
from supernet.scores import accuracy_interval

VALIDATION, TEST = 30, 36


@pytest.fixture(scope="module")
def home(home: Path) -> Path:
    """The same with a latency profile in its cache."""
    brief = Effort(0.0, least=2, most=2)
    plan = Plan(times=1, whole_networks=6, widest=math.inf, effort=brief)
    predictor_for(
        load_space(home / "minute.yaml"), Target("cpu", threads=1), DataShape(1, 3), plan=plan
    )
    return home


def _settings(home: Path, **changes: object) -> Settings:
    values: dict[str, object] = {
        "space": str(home / "minute.yaml"),
        "data": f"npz:{home / 'images.npz'}",
        "budget_ms": 1000.0,
        "epochs": 1,
        "evaluations": 12,
        "fine_tune": 1,
        "baselines": ("lcnet_035",),
        "baseline_epochs": 1,
        "threads": 1,
    }
    return Settings(**{**values, **changes})


@pytest.fixture(scope="module")
def result(home: Path) -> RunResult:
    with pytest.MonkeyPatch.context() as patch:  # other tests disturb so small a network
        patch.setattr(compare, "DISTURBED", math.inf)
        return pipeline.run(_settings(home), out=home / "run")


def test_the_stock_network_stands_beside_the_recommended_one(result: RunResult) -> None:
    (stock,) = result.stock
    assert (stock.name, stock.resolution, stock.pretrained, stock.epochs) == (
        "lcnet_035", 32, None, 1,
    )  # fmt: skip
    assert stock.test_accuracy is not None and stock.latencies[0].measured
    (recommended,) = result.recommended
    assert recommended.id in {member.id for member in result.front}
    assert recommended.path is not None and recommended.path in result.exported
    assert "lcnet_035 at 32 px (scratch)" in recommended.verdict
    assert recommended.verdict.startswith("The search")


def test_the_whole_front_was_scored_on_the_test_split(result: RunResult) -> None:
    assert result.front and (result.validation_images, result.test_images) == (VALIDATION, TEST)
    assert all(member.shared_test_accuracy is not None for member in result.front)
    comparison = read_comparison(result.path)
    assert {len(found.right) for found in comparison.shared.values()} == {TEST}


def test_accuracy_and_latency_of_a_finalist_come_from_its_file(result: RunResult) -> None:
    comparison = read_comparison(result.path)
    (trained,) = [member for member in result.front if member.test_accuracy is not None]
    found = comparison.networks[trained.id]
    assert found.accuracy == pytest.approx(trained.test_accuracy)
    (target,) = read_measured(result.path / "measured.json")
    both = target["networks"][trained.id]["ms"], found.ms["cpu"].ms
    assert trained.latencies[0].measured_ms == min(both)


def test_json_has_an_interval_beside_each_accuracy(result: RunResult) -> None:
    document = json.loads(json.dumps(result.to_dict()))
    member, stock = document["front"][0], document["stock"][0]
    low, high = accuracy_interval(member["accuracy"], VALIDATION)
    assert member["accuracy_interval"] == [low, high]
    assert "shared_test_accuracy_interval" in member
    assert stock["test_accuracy_interval"][0] <= stock["test_accuracy"]
    assert document["recommended"][0]["id"] and document["recommended"][0]["reason"]


def test_a_person_reads_intervals_the_gain_and_the_sentence(
    result: RunResult, capsys: pytest.CaptureFixture[str]
) -> None:
    show_result(result, as_json=False)
    said = capsys.readouterr().out
    for words in (
        "Stock networks, trained on the same images",
        "Recommended within 1 s: ",
        "The search ",
        f"Accuracy is on {VALIDATION} validation images, test accuracy on {TEST}",
        "after training alone (",
        "this machine has no published weights of lcnet_035",
    ):
        assert words in said, words


def test_a_resumed_run_trains_and_compares_only_what_is_missing(
    home: Path, result: RunResult
) -> None:
    run = home / "parts"
    pipeline.run(_settings(home), out=run, until="export")
    assert not (run / "baselines").exists()
    pipeline.run(_settings(home), out=run, until="baselines")
    (before,) = stock_results(run)
    again = pipeline.resume(run)
    assert stock_results(run) == [before]
    (whole,) = stock_results(result.path)
    assert _untimed(before) == _untimed(whole)
    assert again.stock[0].test_accuracy == result.stock[0].test_accuracy


def _untimed(found: StockResult) -> StockResult:
    return dataclasses.replace(found, seconds=0.0)


def test_a_stock_network_that_was_disturbed_keeps_its_earlier_latency(
    home: Path, result: RunResult, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(result.path, run)
    (run / "compared.json").unlink()
    file = run / "baselines" / "chosen.json"
    document = json.loads(file.read_text())
    document["timed"]["lcnet_035"]["ms"] = [[1e-4, 1e-4]]  # every machine is slower than that
    file.write_text(json.dumps(document))
    steps = json.loads((run / "steps.json").read_text())
    for name in ("compare", "report"):
        del steps["steps"][name]
    (run / "steps.json").write_text(json.dumps(steps))
    (stock,) = pipeline.resume(run).stock
    assert (stock.latencies[0].ms, stock.latencies[0].measured) == (1e-4, True)


def test_every_member_of_a_front_can_be_exported(result: RunResult) -> None:
    outcome = commands.export(
        result.path, formats=("pt2",), ids=(), all_of_them=True, console=Silent()
    )
    assert len(outcome.document["exported"]) == len(result.front)
    with pytest.raises(SettingsError, match="leave out --id, or --all"):
        commands.export(result.path, formats=(), ids=("x",), all_of_them=True, console=Silent())


def test_networks_that_are_retrained_later_are_exported_and_compared(
    result: RunResult, tmp_path: Path
) -> None:
    run = shutil.copytree(result.path, tmp_path / "run")
    shutil.rmtree(next(run.glob("networks/*/network.safetensors")).parent)
    how = Retraining(epochs=1)
    again = commands.retrain(run, top=2, how=how, console=Silent())
    trained = {member.id for member in again.front if member.test_accuracy is not None}
    assert trained and {path.name for path in again.exported} >= trained
    networks = read_comparison(run).networks
    for member in again.front:
        if member.id in trained:
            found = networks[member.id]
            assert found.accuracy == pytest.approx(member.test_accuracy)
            exported = read_description(network_folder(run, member.id))
            assert exported.scores["test_accuracy"] == pytest.approx(found.accuracy)
    assert again.recommended[0].id in trained and again.recommended[0].verdict


def test_a_run_that_moved_is_not_measured_on_the_other_machine(
    result: RunResult, tmp_path: Path, heard: Any
) -> None:
    run = shutil.copytree(result.path, tmp_path / "run")
    inputs = json.loads((run / "inputs.json").read_text()) | {"profiles": {"cpu": "another"}}
    (run / "inputs.json").write_text(json.dumps(inputs))
    shutil.rmtree(next(run.glob("networks/*/network.safetensors")).parent)
    again = commands.retrain(run, top=1, how=Retraining(epochs=1), console=heard)
    (id,) = [member.id for member in again.front if member.test_accuracy is not None]
    assert read_comparison(run).networks[id].ms == {}
    assert any("latencies are not measured again" in line for line in heard.said)


def test_a_run_keeps_its_supernet_before_and_after_its_search(home: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    pipeline.run(_settings(home), out=run, until="supernet")
    key = json.loads((run / "supernet.json").read_text())["key"]
    (run / "supernet.json").write_text('{"key": "0123"}')
    with pytest.raises(CheckpointError, match="supernet of this run, 0123, is not in the cache"):
        pipeline.resume(run)
    (run / "supernet.json").write_text(json.dumps({"key": key}))
    pipeline.run(_settings(home), out=run, until="search")
    (run / "supernet.json").unlink()  # as in runs of earlier versions
    front = json.loads((run / "front.json").read_text())
    assert front["supernet"] == key
    (run / "front.json").write_text(json.dumps(front | {"supernet": "0123"}))
    with pytest.raises(CheckpointError, match="supernet of this run, 0123, is not in the cache"):
        commands.export(run, formats=(), ids=(), all_of_them=True, console=Silent())


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"baselines": ("lcnet_0350",)}, UnknownNameError, "Did you mean 'lcnet_0"),
        ({"baselines": ("auto", "lcnet_035")}, SettingsError, "give auto, none, or names"),
        ({"from_scratch": True}, SettingsError, "leave out from_scratch"),
    ],
)
def test_wrong_settings_end_the_run_at_once(
    home: Path, changes: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        pipeline.run(_settings(home, **changes), out=home / "wrong")
    assert not (home / "wrong").exists()


def test_small_images_are_compared_with_nothing(home: Path) -> None:
    run = pipeline.run(
        _settings(home, baselines=("auto",), baseline_epochs=None), out=home / "small"
    )
    assert run.stock == () and run.recommended[0].verdict == ""
