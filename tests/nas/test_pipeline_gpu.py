"""The whole flow for a GPU that is not at hand, on a minute space."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas import pipeline
from nas.commands import steps as commands
from nas.errors import InfeasibleError, RunError, UnknownNameError
from nas.export import load_exported
from nas.latency import predictor_for
from nas.progress import Silent
from nas.result import RunResult
from nas.run.context import Context
from nas.settings import Settings
from search_spaces.data_shape import DataShape


def _settings(home: Path, **changes: object) -> Settings:
    values: dict[str, object] = {
        "space": str(home / "minute.yaml"),
        "data": f"npz:{home / 'images.npz'}",
        "hardware": "a100",
        "epochs": 1,
        "evaluations": 12,
        "retrain_epochs": 1,
        "lag": 4,
    }
    return Settings(**{**values, **changes})


@pytest.fixture(scope="module")
def budget(home: Path) -> float:
    """Half of the space keeps it."""
    context = Context(_settings(home))
    predictor = predictor_for(context.space, context.target, DataShape(1, 3))
    codes = context.space.sample(500, np.random.default_rng(0))
    return float(np.median(predictor.predict(codes).high_ms))


@pytest.fixture(scope="module")
def whole(home: Path, budget: float, heard: Any) -> tuple[RunResult, list[str]]:
    result = pipeline.run(_settings(home, budget_ms=budget), out=home / "run", console=heard)
    return result, heard.said


def test_a_run_for_a_gpu_ends_with_a_front_and_exports(
    whole: tuple[RunResult, list[str]],
) -> None:
    result, _ = whole
    assert result.finished == pipeline.STEPS
    assert result.front
    (folder,) = result.exported
    assert load_exported(folder) is not None
    assert all(member.latencies[0].measured_ms is None for member in result.front)
    (note,) = (note for note in result.notes if note.startswith("latencies on a100"))
    assert "are predicted, none was measured: a100 is not at hand, so it cannot be" in note
    assert "`nas measure --kit DIR --hardware a100 --runtime eager`" in note


def test_the_upper_end_of_all_that_is_returned_is_within_the_budget(
    whole: tuple[RunResult, list[str]], budget: float
) -> None:
    result, _ = whole
    assert all(member.latencies[0].high_ms <= budget for member in result.front)
    front = {member.id for member in result.front}
    assert {folder.name for folder in result.exported} <= front
    lines = (result.path / "evaluations.jsonl").read_text().splitlines()
    assert len(lines) == 12
    assert all(json.loads(line)["latencies"][0]["high_ms"] <= budget for line in lines)


def test_the_person_is_told_the_target_and_what_the_budget_leaves(
    whole: tuple[RunResult, list[str]],
) -> None:
    said = "\n".join(whole[1])
    assert "a100 (eager, fp16, channels_last, batch 1" in said
    assert "of 360 sampled architectures are within the budget" in said
    assert "latencies on a100 are predicted, none was measured: a100 is not at hand" in said


def test_the_report_calls_predictions_so(whole: tuple[RunResult, list[str]]) -> None:
    result, _ = whole
    page = (result.path / "report.html").read_text()
    assert "Its latency, predicted" in page
    assert "predicted from kernels" in page
    assert "latencies on a100 are predicted, none was measured" in page
    (target,) = json.loads((result.path / "measured.json").read_text())["targets"]
    assert (target["name"], target["networks"]) == ("a100", {})
    assert not (result.path / "figures" / "latency.png").exists()


def test_a_run_for_a_gpu_is_said_again(whole: tuple[RunResult, list[str]]) -> None:
    result, _ = whole
    assert pipeline.resume(result.path).to_dict() == result.to_dict()


def test_a_surer_interval_allows_less(home: Path, budget: float) -> None:
    sure = pipeline.run(
        _settings(home, budget_ms=budget, confidence=0.95), out=home / "sure", until="search"
    )
    assert sure.confidence == 0.95
    usual = {m.id: m.latencies[0].high_ms for m in pipeline.resume(home / "run").front}
    for member in sure.front:
        assert member.latencies[0].high_ms <= budget
        if member.id in usual:
            assert member.latencies[0].high_ms > usual[member.id]


def test_a_budget_that_nothing_keeps_ends_the_run_before_training(
    home: Path, tmp_path: Path
) -> None:
    with pytest.raises(InfeasibleError, match=r"(?s)No architecture of 'minute' .*on a100 \("):
        pipeline.run(_settings(home, budget_ms=1e-6), out=tmp_path / "run")


def test_a_target_that_there_is_not_is_told_before_a_folder_is_made(
    home: Path, tmp_path: Path
) -> None:
    with pytest.raises(UnknownNameError, match="a100 has no precision 'fp17'"):
        pipeline.run(_settings(home, precision="fp17"), out=tmp_path / "run")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("file", ["front.json", "measured.json"])
def test_a_file_of_another_version_is_refused(
    whole: tuple[RunResult, list[str]], tmp_path: Path, file: str
) -> None:
    shutil.copytree(whole[0].path, tmp_path / "run")
    document = json.loads((tmp_path / "run" / file).read_text())
    (tmp_path / "run" / file).write_text(json.dumps({**document, "schema": 1}))
    with pytest.raises(RunError, match=f"{file}' has schema version 1; this version of nas reads"):
        pipeline.resume(tmp_path / "run")


def test_a_step_that_finished_is_read_from_its_file(
    whole: tuple[RunResult, list[str]], tmp_path: Path
) -> None:
    result, _ = whole
    shutil.copytree(result.path, tmp_path / "run")
    steps = json.loads((tmp_path / "run" / "steps.json").read_text())
    for step in ("retrain", "export", "report"):
        del steps["steps"][step]
    (tmp_path / "run" / "steps.json").write_text(json.dumps(steps))
    shutil.rmtree(tmp_path / "run" / "networks")
    (tmp_path / "run" / "evaluations.jsonl").touch()
    before = (tmp_path / "run" / "front.json").stat().st_mtime_ns
    again = pipeline.resume(tmp_path / "run")
    assert (tmp_path / "run" / "front.json").stat().st_mtime_ns == before
    assert again.front == result.front
    assert [path.name for path in again.exported] == [path.name for path in result.exported]


def test_a_report_that_is_drawn_again_is_the_same(
    whole: tuple[RunResult, list[str]], tmp_path: Path
) -> None:
    result, _ = whole
    shutil.copytree(result.path, tmp_path / "run")
    commands.report(tmp_path / "run", console=Silent())
    pages = {path: (path / "report.html").read_text() for path in (result.path, tmp_path / "run")}
    one, two = (text.replace(str(path), "") for path, text in pages.items())
    assert one == two
