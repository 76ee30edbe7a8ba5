"""The whole flow on a minute space: to the end, to the same end, and past any interruption."""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from nas import pipeline
from nas.cluster.trials import Tuning
from nas.commands import predict as predicting
from nas.commands import steps as commands
from nas.errors import (
    CheckpointError,
    InfeasibleError,
    NasError,
    RunError,
    SettingsError,
    UnknownNameError,
)
from nas.export import load_exported
from nas.latency import Effort, Plan, Target, predictor_for
from nas.latency.profiles.parts import PartsProfile
from nas.progress import Silent
from nas.result import Recommendation
from nas.run.export import export_recommended
from nas.run.folder import read_run
from nas.run.opened import opened
from nas.run.retraining import Retraining
from nas.run.supernets import supernet_of
from nas.settings import Settings
from search_spaces import load_space
from search_spaces.data_shape import DataShape
from supernet.training.checkpoint import from_bytes

KILLER = """
import os, signal, sys
from pathlib import Path
from nas import pipeline
from nas.progress import Silent
from nas.settings import Settings
import supernet.training.loop
from contextlib import contextmanager

supernet.training.loop.CHECKPOINT_SECONDS = 0.0
task, count = sys.argv[1], int(sys.argv[2])

class Deadly(Silent):
    @contextmanager
    def task(self, what, total):
        def advance(done, note):
            if what.startswith(task) and done >= count:
                os.kill(os.getpid(), signal.SIGKILL)
        yield advance

pipeline.run(Settings.from_json(Path(sys.argv[3]).read_text()), out=Path(sys.argv[4]),
             until="retrain", console=Deadly())
"""


BRIEF = Plan(
    times=1, whole_networks=6, widest=math.inf, effort=Effort(0.0, least=2, most=2)
)  # however busy the machine is


@pytest.fixture(scope="module")
def home(home: Path) -> Path:
    """The same with a latency profile in its cache."""
    predictor_for(
        load_space(home / "minute.yaml"), Target("cpu", threads=1), DataShape(1, 3), plan=BRIEF
    )
    return home


def _settings(home: Path, **changes: object) -> Settings:
    values: dict[str, object] = {
        "space": str(home / "minute.yaml"),
        "data": f"npz:{home / 'images.npz'}",
        "epochs": 2,
        "evaluations": 12,
        "retrain_epochs": 2,
        "lag": 4,
        "threads": 1,
    }
    return Settings(**{**values, **changes})


@pytest.fixture(scope="module")
def whole(home: Path) -> Path:
    """An uninterrupted run."""
    pipeline.run(_settings(home), out=home / "whole")
    return home / "whole"


def _weights(run: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(run.glob("networks/*/network.safetensors"))]


def test_a_run_leaves_all_that_the_readme_names(whole: Path) -> None:
    names = {path.name for path in whole.iterdir()}
    assert names >= {
        "settings.json",
        "environment.json",
        "evaluations.jsonl",
        "study.journal",
        "front.json",
        "measured.json",
        "report.html",
        "figures",
        "networks",
        "log.txt",
    }
    assert len((whole / "evaluations.jsonl").read_text().splitlines()) == 12
    (network,) = (whole / "networks").iterdir()
    files = {path.name for path in network.iterdir()}
    assert files >= {"architecture.yaml", "model.safetensors", "config.json", "model.pt2"}
    assert load_exported(network)(torch.zeros(2, 1, 8, 8)).shape == (2, 3)


def test_a_finished_run_says_its_result_again_and_does_nothing(whole: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*.json*")}
    result = pipeline.resume(whole)
    assert result.finished == pipeline.STEPS
    assert len(result.exported) == 1
    assert any(member.test_accuracy is not None for member in result.front)
    assert json.dumps(result.to_dict())
    assert before == {path: path.stat().st_mtime_ns for path in whole.rglob("*.json*")}


def test_a_finished_export_is_kept_and_a_missing_file_is_written_again(
    whole: Path, heard: Any, tmp_path: Path
) -> None:
    run = shutil.copytree(whole, tmp_path / "run")
    document = json.loads((run / "steps.json").read_text())
    del document["steps"]["report"]
    (run / "steps.json").write_text(json.dumps(document))
    (network,) = (run / "networks").iterdir()
    before = {path: path.stat().st_mtime_ns for path in network.iterdir()}
    pipeline.resume(run, console=heard)
    assert before == {path: path.stat().st_mtime_ns for path in network.iterdir()}
    (network / "model.pt2").unlink()
    (run / "steps.json").write_text(json.dumps(document))
    pipeline.resume(run, console=heard)
    assert before.keys() == set(network.iterdir())


def test_steps_with_nothing_to_do_have_no_heading(
    home: Path, whole: Path, heard: Any, tmp_path: Path
) -> None:
    heard.said.clear()
    settings = _settings(home, retrain_top=0)
    pipeline.run(settings, out=tmp_path / "run", until="measure", console=heard)
    assert {"space", "search", "measure"} <= set(heard.said)
    assert read_run(tmp_path / "run").steps[-2:] == ("verify", "measure")
    heard.said.clear()
    pipeline.resume(tmp_path / "run", console=heard)
    assert {"search (done before)", "measure (done before)", "export", "report"} <= set(heard.said)
    assert not [line for line in heard.said if line.startswith(("verify", "retrain", "baselines"))]
    assert not any("no stock networks" in line for line in heard.said)
    assert read_run(tmp_path / "run").complete


def test_equal_seeds_find_equal_fronts_whatever_the_global_states(home: Path, whole: Path) -> None:
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    shutil.rmtree(home / "cache" / "supernets")
    pipeline.run(_settings(home), out=home / "again", until="retrain")
    assert (home / "again/front.json").read_bytes() == (whole / "front.json").read_bytes()
    assert _weights(home / "again") == _weights(whole)


@pytest.mark.parametrize(
    ("task", "count"), [("training the supernet", 3), ("searching", 7), ("training ", 4)]
)
def test_a_killed_run_ends_as_an_uninterrupted_one(
    home: Path, whole: Path, tmp_path: Path, task: str, count: int
) -> None:
    if task == "training the supernet":
        shutil.rmtree(home / "cache" / "supernets")
    (tmp_path / "settings.json").write_text(_settings(home).to_json())
    run = tmp_path / "run"
    words = [sys.executable, "-c", KILLER, task, str(count), str(tmp_path / "settings.json")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    killed = subprocess.run([*words, str(run)], env=environment, check=False)
    assert killed.returncode == -9
    assert not (run / "networks").exists() or not list(run.glob("networks/*/result.json"))
    pipeline.run(_settings(home), out=run, until="retrain")
    assert (run / "front.json").read_bytes() == (whole / "front.json").read_bytes()
    assert _weights(run) == _weights(whole)


def test_other_settings_in_the_same_folder_are_refused_with_what_differs(
    home: Path, whole: Path
) -> None:
    with pytest.raises(SettingsError, match=r"evaluations: 12 -> 13"):
        pipeline.run(_settings(home, evaluations=13), out=whole)


def test_a_budget_that_nothing_keeps_ends_the_run_before_training(
    home: Path, tmp_path: Path
) -> None:
    settings = _settings(home, budget_ms=1e-6, seed=7)
    with pytest.raises(InfeasibleError, match=r"(?s)No architecture of 'minute' .*the fastest"):
        pipeline.run(settings, out=tmp_path / "run")
    assert not (tmp_path / "run" / "evaluations.jsonl").exists()


def test_a_machine_slower_than_its_profile_is_told(
    home: Path, heard: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(home / "cache", tmp_path / "cache")
    monkeypatch.setenv("NAS_CACHE_DIR", str(tmp_path / "cache"))
    (path,) = (tmp_path / "cache" / "latency").glob("cpu-*.json")
    profile = PartsProfile.load(path)
    once = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    dataclasses.replace(
        profile,
        conditions={**profile.conditions, "date": once.isoformat()},
        networks=tuple({**one, "ms": one["ms"] / 1000} for one in profile.networks),
    ).save(path)
    pipeline.run(_settings(home), out=tmp_path / "run", until="latency", console=heard)
    assert any("This machine is slower now" in line for line in heard.said)


def test_a_front_measured_beyond_the_budget_is_told(
    home: Path, tmp_path: Path, fake_machine: Any
) -> None:
    settings = _settings(home, budget_ms=1000.0)
    with pytest.raises(InfeasibleError, match=r"none was measured within it: the closest took 2"):
        pipeline.run(settings, out=tmp_path / "run", machine_of=fake_machine(2000.0))
    found = pipeline.run(
        settings, out=tmp_path / "run", until="measure", machine_of=fake_machine(5.0)
    )
    assert {member.latencies[0].measured_ms for member in found.front} == {5.0}


def test_wrong_names_end_the_run_at_once(home: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="Unknown searcher 'evolutoin'. Did you mean"):
        pipeline.run(_settings(home, searcher="evolutoin"), out=tmp_path / "a")
    with pytest.raises(UnknownNameError, match="Unknown space 'hybrid-tinny'. Did you mean"):
        pipeline.run(_settings(home, space="hybrid-tinny"), out=tmp_path / "b")
    with pytest.raises(SettingsError, match="The recipe has no 'epoch'. Did you mean 'epochs'"):
        pipeline.run(_settings(home, recipe={"epoch": 3}), out=tmp_path / "c")
    with pytest.raises(SettingsError, match="learning_rate"):
        pipeline.run(_settings(home, recipe={"learning_rate": -1}), out=tmp_path / "d")
    assert not list(tmp_path.iterdir())


def test_single_commands_work_on_a_finished_run(
    home: Path, whole: Path, tmp_path: Path, heard: Any
) -> None:
    shutil.copytree(whole, tmp_path / "run")
    run = tmp_path / "run"
    front = json.loads((run / "front.json").read_text())["front"]
    silent = Silent()
    how = Retraining(seed=3, epochs=1, from_scratch=True, recipe={"layer_decay": 0.8})
    result = commands.retrain(run, top=2, how=how, console=silent)
    assert sum(m.test_accuracy is not None for m in result.front) == min(2, len(result.front))
    commands.retrain(run, top=1, how=how, console=heard)
    assert sum("was retrained before and stays as it is" in line for line in heard.said) == 1
    id = front[0]["id"]
    outcome = commands.export(run, formats=("timm",), ids=(id,), console=silent)
    assert (Path(outcome.document["exported"][0]) / "architecture.yaml").exists()
    predicted = predicting.predict(f"{run}/{id}", _settings(home), console=silent)
    latency = front[0]["latencies"][0]
    assert predicted.document["latency_ms"] == pytest.approx(latency["predicted_ms"])
    of_the_run = predicting.predict(f"{run}:{id}", Settings(threads=1), console=silent)
    assert of_the_run.document["latency_ms"] == predicted.document["latency_ms"]
    assert commands.train(_settings(home), console=silent).document["curve"]
    assert commands.measure(_settings(home), plan=BRIEF, console=silent).document["held_out"]
    with pytest.raises(RunError, match="Not on the front of .*: nothing. There are: "):
        commands.export(run, formats=(), ids=("nothing",), console=silent)
    with pytest.raises(UnknownNameError, match="Unknown export format 'zip'"):
        commands.export(run, formats=("zip",), ids=(), console=silent)
    with pytest.raises(RunError, match="There is no 'nothing' on the front"):
        predicting.predict(f"{run}/nothing", _settings(home), console=silent)


def test_the_random_search_of_a_report_is_read_once_it_is_complete(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After `nas measure` other latencies would make it ask for other architectures."""
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    before = (run / "random.jsonl").read_bytes()
    monkeypatch.setattr("nas.run.report.search_children", lambda *_, **__: pytest.fail("searched"))
    (run / "report.html").unlink()
    commands.report(run, console=Silent())
    assert (run / "report.html").exists() and (run / "random.jsonl").read_bytes() == before


def test_commands_need_a_front(home: Path, tmp_path: Path) -> None:
    pipeline.run(_settings(home), out=tmp_path / "run", until="space")
    with pytest.raises(RunError, match="has no front yet"):
        commands.report(tmp_path / "run", console=Silent())


@pytest.mark.parametrize("of", ["largest", "a network"])
def test_networks_learn_from_a_teacher_that_is_asked_once(
    home: Path, whole: Path, tmp_path: Path, of: str
) -> None:
    run, known = tmp_path / "run", home / "cache" / "teachers"
    shutil.copytree(whole, run)
    best = next(run.glob("networks/*"))
    shutil.move(best, tmp_path / best.name)  # to be retrained, and a teacher elsewhere
    teacher = "largest" if of == "largest" else str(tmp_path / best.name)
    how, before = Retraining(epochs=2, teacher=teacher), set(known.glob("*.safetensors"))
    taught = commands.retrain(run, top=1, how=how, console=Silent())
    (answers,) = set(known.glob("*.safetensors")) - before
    written = answers.stat().st_mtime_ns
    (network,) = run.glob("networks/*/network.safetensors")
    content = network.read_bytes()
    assert content != (tmp_path / best.name / "network.safetensors").read_bytes()
    shutil.rmtree(network.parent)
    again = commands.retrain(run, top=1, how=how, console=Silent())
    assert network.read_bytes() == content and answers.stat().st_mtime_ns == written
    scores = [(member.id, member.trained_accuracy) for member in taught.front]
    assert scores == [(member.id, member.trained_accuracy) for member in again.front]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: data["classes"].reverse(), "has the classes .*, and the data has"),
        (
            lambda data: data.update(mean=[0.9]),
            "images that are normalised in another way",
        ),
        (
            lambda data: data.update(std=[0.01]),
            "images that are normalised in another way",
        ),
        (lambda data: data.update(scale=1.0), "images that are normalised in another way"),
    ],
)
def test_a_teacher_of_other_images_is_refused(
    whole: Path, tmp_path: Path, change: Callable[[dict[str, Any]], object], said: str
) -> None:
    run, teacher = tmp_path / "run", tmp_path / "teacher"
    shutil.copytree(whole, run)
    shutil.move(next(run.glob("networks/*")), teacher)
    document = yaml.safe_load((teacher / "architecture.yaml").read_text())
    change(document["data"])
    (teacher / "architecture.yaml").write_text(yaml.safe_dump(document))
    with pytest.raises(NasError, match=said):
        commands.retrain(run, top=1, how=Retraining(teacher=str(teacher)), console=Silent())


def test_what_is_recommended_is_exported_with_its_own_weights(whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    trained = next(run.glob("networks/*/network.safetensors"))
    (trained.parent / "architecture.yaml").unlink()
    recommended = Recommendation((None,), trained.parent.name, "the best")
    with opened(run, Silent()) as (work, front):
        export_recommended(work, front, [recommended], supernet_of(work.context, Silent()))
    weights, _ = from_bytes(trained.read_bytes(), "test")
    exported = load_exported(trained.parent).state_dict()
    assert all(torch.equal(exported[name], tensor) for name, tensor in weights.items())


def test_a_run_is_not_joined_with_another_supernet(whole: Path, tmp_path: Path) -> None:
    run = shutil.copytree(whole, tmp_path / "run")
    (run / "supernet.json").write_text(json.dumps({"key": "0123"}))
    with pytest.raises(CheckpointError, match="supernet of this run, 0123, is not in the cache"):
        commands.report(run, console=Silent())
    with pytest.raises(CheckpointError, match="supernet of this run, 0123, is not in the cache"):
        commands.export(run, formats=(), ids=(), all_of_them=True, console=Silent())


def test_mistakes_about_retraining_are_told(home: Path, whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    shutil.rmtree(next(run.glob("networks/*")))
    for how, said in (
        (Retraining(recipe={"layr_decay": 0.8}), "no 'layr_decay'. Did you mean 'layer_decay'"),
        (Retraining(recipe={"layer_decay": 2}), "layer_decay: input should be less than or"),
        (Retraining(tuning=Tuning({"epochs": (1, 2)}, 1)), "'epochs' cannot be tuned."),
        (Retraining(tuning=Tuning({"drop_path": (0, 1)}, 1)), "drop_path: input should be less"),
        (Retraining(teacher=f"{run}/none"), "There is no exported network in"),
        (Retraining(teacher="timm:lcnet_050"), "There is no network 'timm:lcnet_050' to learn"),
    ):
        with pytest.raises(NasError, match=said):
            commands.retrain(run, top=1, how=how, console=Silent())
