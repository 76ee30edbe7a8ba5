"""Networks trained alone: what they correct in a search, and what they say of a supernet."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from nas import pipeline
from nas.cli import app
from nas.commands.rank import rank
from nas.errors import RunError, SettingsError
from nas.progress import Silent
from nas.ranking.result import read_ranking
from nas.run.verify import verified_members
from nas.settings import Settings

KILLER = """
import os, signal, sys
from contextlib import contextmanager
from pathlib import Path
import supernet.training.loop
from nas import pipeline
from nas.progress import Silent
from nas.settings import Settings

supernet.training.loop.CHECKPOINT_SECONDS = 0.0

class Deadly(Silent):
    networks = 0

    @contextmanager
    def task(self, what, total):
        self.networks += what.startswith("training ") and "supernet" not in what
        def advance(done, note):
            if self.networks == 3 and done >= 3:
                os.kill(os.getpid(), signal.SIGKILL)
        yield advance

pipeline.run(Settings.from_json(Path(sys.argv[1]).read_text()), out=Path(sys.argv[2]),
             until="verify", console=Deadly())
"""


def _settings(home: Path, **changes: object) -> Settings:
    values: dict[str, object] = {
        "space": str(home / "minute.yaml"),
        "data": f"npz:{home / 'images.npz'}",
        "epochs": 2,
        "evaluations": 24,
        "retrain_epochs": 1,
        "lag": 4,
        "hardware": "a100",
        "verify": 7,
        "verify_epochs": 2,
    }
    return Settings(**{**values, **changes})


@pytest.fixture(scope="module")
def whole(home: Path) -> Path:
    """An uninterrupted run."""
    pipeline.run(_settings(home), out=home / "whole")
    return home / "whole"


def _trained(run: Path) -> set[str]:
    return {path.parent.name for path in run.glob("alone/*/*/result.json")}


def test_the_front_is_drawn_from_corrected_scores(whole: Path) -> None:
    verified = json.loads((whole / "verified.json").read_text())
    assert {network["id"] for network in verified["networks"]} == _trained(whole)
    assert len(verified["networks"]) == 7
    result = pipeline.resume(whole)
    assert [member.id for member in result.front] == [m["id"] for m in verified["front"]]
    scores = [member.corrected for member in result.front]
    assert all(s is not None and 0 <= s.low <= s.value <= s.high <= 1 for s in scores)
    by_speed = sorted(result.front, key=lambda member: member.latencies[0].predicted_ms)
    values = [member.score("accuracy") for member in by_speed]
    assert values == sorted(set(values))
    assert result.recommended[0].id == by_speed[-1].id
    assert "Its corrected accuracy, after a short training alone, is" in (
        result.recommended[0].reason
    )
    assert any("corrected by 7 networks trained alone" in note for note in result.notes)
    page = (whole / "report.html").read_text()
    assert "The front is drawn from the corrected scores" in page
    assert "What the supernet's word is worth" in page.replace("&#39;", "'")


def test_without_it_a_run_is_as_it_was(home: Path, whole: Path) -> None:
    plain = home / "plain"
    result = pipeline.run(
        _settings(home, verify=0, verify_epochs=None), out=plain, until="measure"
    )
    for name in ("evaluations.jsonl", "front.json"):
        kept = [json.loads(line) for line in _lines(plain / name)]
        assert kept == [json.loads(line) for line in _lines(whole / name)]
    assert (plain / "front.json").read_bytes() == (whole / "front.json").read_bytes()
    assert b"corrected" not in (plain / "front.json").read_bytes()
    assert not {"verified.json", "rank.json", "alone"} & {path.name for path in plain.iterdir()}
    assert all(member.corrected is None for member in result.front)


def _lines(path: Path) -> list[str]:
    """JSON texts of a file; without the seconds, which no two runs share."""
    if path.suffix == ".json":
        return [path.read_text()]
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [json.dumps({k: v for k, v in line.items() if k != "seconds"}) for line in lines]


def test_a_loss_is_corrected_as_well(home: Path, tmp_path: Path) -> None:
    settings = _settings(home, metric="loss", verify=5, verify_epochs=1)
    result = pipeline.run(settings, out=tmp_path / "run", until="verify")
    found = [member.corrected for member in result.front]
    assert all(each is not None and each.metric == "loss" for each in found)
    ranking = read_ranking(tmp_path / "run")
    assert ranking is not None and ranking.agreements[0].score == "supernet, loss"


def test_a_killed_verification_ends_as_an_uninterrupted_one(
    home: Path, whole: Path, tmp_path: Path
) -> None:
    (tmp_path / "settings.json").write_text(_settings(home).to_json())
    words = [sys.executable, "-c", KILLER, str(tmp_path / "settings.json"), str(tmp_path / "run")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    killed = subprocess.run(words, env=environment, check=False)
    assert killed.returncode == -9
    assert len(_trained(tmp_path / "run")) == 2
    pipeline.run(_settings(home), out=tmp_path / "run", until="verify")
    for name in ("verified.json", "rank.json"):
        assert (tmp_path / "run" / name).read_bytes() == (whole / name).read_bytes()
    assert not list((tmp_path / "run").glob("alone/*/*/checkpoint.safetensors"))


def test_ranking_uses_what_was_trained_before(whole: Path, tmp_path: Path, heard: Any) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    before = {path: path.stat().st_mtime_ns for path in run.glob("alone/*/*/result.json")}
    assert len(rank(run, networks=5, console=Silent()).networks) == 7  # all that are known
    ranking = rank(run, networks=10, console=heard)
    assert len(ranking.networks) == 10 and len(_trained(run)) == 10
    assert before == {path: path.stat().st_mtime_ns for path in before}
    assert [each.score for each in ranking.agreements] == [
        "supernet, accuracy",
        "supernet, loss",
        "parameters",
        "MACs",
        "predicted latency on a100",
    ]
    assert json.loads((run / "rank.json").read_text()) == json.loads(json.dumps(ranking.to_dict()))
    assert any(line.startswith("10 networks, trained alone from new") for line in heard.said)
    other = rank(run, networks=3, epochs=1, console=Silent())
    assert "1 epoch at" in other.recipe and len(other.networks) == 3


def test_an_interrupted_ranking_goes_on_with_the_networks_it_chose(
    whole: Path, tmp_path: Path
) -> None:
    runs = tmp_path / "a", tmp_path / "b"
    for run in runs:
        shutil.copytree(whole, run)
        (run / "steps.json").write_text(  # without a report to write again
            json.dumps({"schema": 1, "steps": {"search": {}}})
        )
    rank(runs[0], networks=11, console=Silent())

    class Interrupting(Silent):
        begun = 0

        def task(self, what: str, total: int) -> Any:
            self.begun += 1
            if self.begun == 3:
                raise KeyboardInterrupt
            return super().task(what, total)

    with pytest.raises(KeyboardInterrupt):
        rank(runs[1], networks=11, console=Interrupting())
    assert len(_trained(runs[1])) == 9
    rank(runs[1], networks=11, console=Silent())
    assert (runs[0] / "rank.json").read_bytes() == (runs[1] / "rank.json").read_bytes()


def test_the_command_prints_a_table_and_json(whole: Path) -> None:
    table = CliRunner().invoke(app, ["rank", str(whole), "--networks", "7"])
    assert table.exit_code == 0, table.stderr
    assert "How well scores rank 7 networks trained alone" in table.stdout
    assert "Each was trained alone from new weights: 2 epochs at" in table.stdout
    printed = CliRunner().invoke(app, ["rank", str(whole), "--networks", "7", "--json"])
    assert json.loads(printed.stdout) == json.loads((whole / "rank.json").read_text())


def test_a_run_without_a_front_cannot_be_ranked(home: Path, tmp_path: Path) -> None:
    pipeline.run(_settings(home), out=tmp_path / "run", until="space")
    with pytest.raises(RunError, match="has no front yet"):
        rank(tmp_path / "run", networks=5, console=Silent())


def test_too_few_evaluations_correct_and_rank_nothing(
    home: Path, tmp_path: Path, heard: Any
) -> None:
    settings = _settings(home, evaluations=2)
    result = pipeline.run(settings, out=tmp_path / "run", until="verify", console=heard)
    assert result.front and all(member.corrected is None for member in result.front)
    assert any("a correction takes 5" in line for line in heard.said)
    with pytest.raises(RunError, match="has evaluated 2 networks, and at least 3 are compared"):
        rank(tmp_path / "run", networks=5, console=Silent())


def test_a_correction_from_few_networks_is_refused(home: Path) -> None:
    with pytest.raises(SettingsError, match="verify: a correction takes at least 5 networks"):
        _settings(home, verify=4)


@pytest.mark.parametrize("name", ["rank.json", "verified.json"])
def test_files_of_another_version_are_refused(whole: Path, tmp_path: Path, name: str) -> None:
    document = json.loads((whole / name).read_text())
    (tmp_path / name).write_text(json.dumps({**document, "schema": 0}))
    read = read_ranking if name == "rank.json" else verified_members
    with pytest.raises(RunError, match=f"{name}' has schema version 0"):
        read(tmp_path)
