"""The whole flow for two targets and several budgets at once, on a minute space."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas import pipeline
from nas.cli.console import show_result
from nas.commands.dry_run import dry_run
from nas.errors import InfeasibleError, SettingsError
from nas.latency import Effort, Plan, Target, predictor_for
from nas.progress import Silent
from nas.result import RunResult
from nas.run.context import Context
from nas.run.front import Front
from nas.run.measure import unanswered
from nas.run.targets import short_names
from nas.search.front_file import read_front
from nas.search.objectives import Budgets
from nas.settings import Settings
from search_spaces import load_space
from search_spaces.data_shape import DataShape


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
        "targets": [{"hardware": "a100"}, {"threads": 1, "budgets_ms": [1000.0]}],
        "epochs": 1,
        "evaluations": 12,
        "retrain_epochs": 1,
        "lag": 4,
    }
    return Settings(**{**values, **changes})


@pytest.fixture(scope="module")
def budgets(home: Path) -> list[float]:
    """What a tenth and what half of the space keeps on the GPU."""
    context = Context(_settings(home))
    predictor = predictor_for(context.space, context.target, DataShape(1, 3))
    codes = context.space.sample(500, np.random.default_rng(0))
    return [float(ms) for ms in np.quantile(predictor.predict(codes).high_ms, [0.1, 0.5])]


@pytest.fixture(scope="module")
def asked(home: Path, budgets: list[float]) -> Settings:
    gpu, cpu = {"hardware": "a100", "budgets_ms": budgets}, {"threads": 1, "budgets_ms": [1000.0]}
    return _settings(home, targets=[gpu, cpu])


@pytest.fixture(scope="module")
def result(home: Path, asked: Settings) -> RunResult:
    return pipeline.run(asked, out=home / "run")


def test_each_budget_has_the_most_accurate_network_that_keeps_it(
    result: RunResult, budgets: list[float]
) -> None:
    assert result.finished == pipeline.STEPS
    assert [answer.limits_ms for answer in result.answers] == [(ms, 1000.0) for ms in budgets]
    lines = (result.path / "evaluations.jsonl").read_text().splitlines()
    evaluated = [json.loads(line) for line in lines]
    front = {member.id: member for member in result.front}
    for answer in result.answers:
        assert answer.best is not None
        limit, _ = answer.limits_ms
        assert front[answer.best].latencies[0].high_ms <= limit
        kept = [line["accuracy"] for line in evaluated if line["latencies"][0]["high_ms"] <= limit]
        assert front[answer.best].accuracy == max(kept)


def test_no_evaluation_is_beyond_every_budget(result: RunResult, budgets: list[float]) -> None:
    lines = (result.path / "evaluations.jsonl").read_text().splitlines()
    assert len(lines) == 12
    assert all(json.loads(line)["latencies"][0]["high_ms"] <= budgets[-1] for line in lines)


def test_the_target_at_hand_is_measured_and_the_other_is_not(result: RunResult) -> None:
    for member in result.front:
        gpu, cpu = member.latencies
        assert gpu.measured_ms is None
        assert cpu.measured_ms is not None
    measured = json.loads((result.path / "measured.json").read_text())
    assert [target["name"] for target in measured["targets"]] == ["a100", "cpu"]
    assert [len(target["networks"]) > 0 for target in measured["targets"]] == [False, True]
    (note,) = [note for note in result.notes if note.startswith("latencies on")]
    assert note.startswith("latencies on a100 are predicted, none was measured: a100 is not at ")


def test_the_front_file_holds_targets_answers_and_every_latency(result: RunResult) -> None:
    document = json.loads((result.path / "front.json").read_text())
    assert [target["target"]["device"] for target in document["targets"]] == ["a100", "cpu"]
    front = {entry["id"]: entry for entry in document["front"]}
    assert {answer["best"] for answer in document["answers"]} <= front.keys()
    for entry in front.values():
        assert [latency["target"] for latency in entry["latencies"]] == ["a100", "cpu"]


def test_the_best_of_each_budget_is_retrained_and_exported(result: RunResult) -> None:
    best = {answer.best for answer in result.answers}
    assert {folder.name for folder in result.exported} == best
    tested = {member.id for member in result.front if member.test_accuracy is not None}
    assert tested == best


def test_a_result_says_each_target_and_each_answer(
    result: RunResult, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    show_result(result, as_json=False)
    said = capsys.readouterr().out
    assert "predicted ms (90 %) on a100" in said
    assert "measured ms on cpu" in said
    assert "The best network for each budget" in said
    answers = said.partition("The best network for each budget")[2].partition("└")[0]
    assert answers.count("1 s on cpu") == 2
    show_result(result, as_json=True)
    document = json.loads(capsys.readouterr().out)
    assert [target["name"] for target in document["targets"]] == ["a100", "cpu"]
    assert len(document["front"][0]["latencies"]) == 2
    assert not {"target", "latency_ms", "predicted_ms"} & {*document, *document["front"][0]}
    assert document["answers"][0]["best"] == result.answers[0].best


def test_the_report_has_a_figure_for_each_target_and_a_table_of_answers(result: RunResult) -> None:
    figures = {path.stem for path in (result.path / "figures").iterdir()}
    assert figures == {
        "front", "front-2", "latency-2", "hypervolume", "supernet", "architecture",
        "compared", "compared-2",
    }  # fmt: skip
    page = (result.path / "report.html").read_text()
    for said in ("The best network for each budget", "Targets: ", "1 s on cpu"):
        assert said in page
    assert "Its latency on a100, predicted" in page
    assert "Its latency on cpu, measured" in page


def test_a_run_for_several_targets_is_said_again(result: RunResult) -> None:
    assert pipeline.resume(result.path).to_dict() == result.to_dict()


def test_a_budget_that_nothing_keeps_is_said(result: RunResult, budgets: list[float]) -> None:
    sets = ((budgets[0], 1e-5), (budgets[1], 1000.0))
    members = read_front(result.path / "front.json")
    front = Front(tuple(members), Budgets(sets), "accuracy")
    first, second = front.answers()
    assert first.best is None
    assert second.best is not None
    (said,) = unanswered(front, ("a100", "cpu"))
    assert said.startswith("no evaluated architecture is predicted within ")
    assert said.endswith("0.01 us on cpu: evaluate more (--evaluations), or raise the budget")


def test_of_several_budgets_one_that_nothing_keeps_ends_the_run_before_training(
    home: Path, budgets: list[float], tmp_path: Path
) -> None:
    targets = [{"hardware": "a100", "budgets_ms": [1e-6, *budgets]}]
    with pytest.raises(InfeasibleError, match=r"runs within 0.001 us on a100 \(.*\n.*too tight"):
        pipeline.run(_settings(home, targets=targets), out=tmp_path / "run")
    assert not (tmp_path / "run" / "evaluations.jsonl").exists()


def test_the_same_target_twice_is_refused(home: Path, tmp_path: Path) -> None:
    twice = [{"hardware": "a100"}, {"hardware": "A100", "batch_size": 1}]
    with pytest.raises(SettingsError, match=r"The target a100 \(.*\) is given twice"):
        pipeline.run(_settings(home, targets=twice), out=tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_a_dry_run_says_what_each_target_and_both_together_leave(
    home: Path, budgets: list[float]
) -> None:
    targets = [
        {"hardware": "a100", "budgets_ms": budgets},
        {"hardware": "rtx4090", "precision": "fp32", "budgets_ms": [1000.0]},
    ]
    outcome = dry_run(_settings(home, targets=targets), console=Silent())
    document: dict[str, Any] = json.loads(json.dumps(outcome.document, allow_nan=False))
    assert [one["target"]["device"] for one in document["targets"]] == ["a100", "rtx4090"]
    shares = [limits["share_within"] for limits in document["budget_sets"]]
    assert 0.02 < shares[0] < shares[1] < 0.9
    assert shares[1] == document["share_within"]
    said = "\n".join(outcome.lines)
    assert "on a100 and 1 s on rtx4090" in said
    assert said.count("fastest ") == 2


def test_targets_are_told_apart_by_what_they_differ_in() -> None:
    targets = [Target("a100"), Target("a100", batch_size=32), Target("cpu", threads=1)]
    assert short_names(targets) == ("a100 (batch 1)", "a100 (batch 32)", "cpu")
    assert short_names(targets[1:]) == ("a100", "cpu")
