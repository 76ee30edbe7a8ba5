"""A GPU that is at hand: `nas measure` profiles it, and a search measures its finalists there."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nas import pipeline
from nas.commands import steps as commands
from nas.latency import Effort, Plan
from nas.latency.timing import gpu as machine
from nas.run.context import Context
from nas.run.work import Member
from nas.settings import Settings


def _settings(home: Path, **target: str) -> Settings:
    return Settings(
        space=str(home / "minute.yaml"),
        data=f"npz:{home / 'images.npz'}",
        hardware="a100",
        epochs=1,
        evaluations=4,
        lag=2,
        **target,
    )


@pytest.fixture
def settings(home: Path) -> Settings:
    return _settings(home, precision="fp32")


def test_the_front_is_measured_there(
    home: Path, settings: Settings, heard: Any, a100_here: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = pipeline.run(settings, out=home / "run", until="measure", console=heard)
    assert found.front
    assert all(member.measured_ms is not None for member in found.front)
    assert found.notes == ()
    assert any(said.startswith("repeat noise of a100: ") for said in heard.said)
    monkeypatch.setattr(machine, "gpus", list)  # shown again where the GPU is not
    assert pipeline.resume(home / "run").notes == ()


def test_a_runtime_that_cannot_be_measured_is_told_as_what_it_is(
    home: Path, heard: Any, a100_here: None
) -> None:
    asked = _settings(home, runtime="tensorrt")
    found = pipeline.run(asked, out=home / "kit", until="measure", console=heard)
    assert all(member.measured_ms is None for member in found.front)
    (note,) = found.notes
    assert note in heard.said
    assert note.startswith(
        "latencies on a100 are predicted, none was measured: a100 is at hand, but tensorrt does "
        "not run in this program"
    )


def test_a_memory_that_holds_nothing_is_told_as_what_it_is(
    home: Path, settings: Settings, a100_here: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine.GpuMachine, "_held", lambda *_: None)
    found = pipeline.run(settings, out=home / "full", until="measure")
    (note,) = found.notes
    assert "none was measured: The memory of a100 holds none of the" in note
    monkeypatch.undo()  # shown again where the GPU is not
    assert pipeline.resume(home / "full").notes == (note,)


def test_a_run_that_did_not_keep_the_reason_is_shown_without(
    home: Path, settings: Settings, a100_here: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine.GpuMachine, "_held", lambda *_: None)
    pipeline.run(settings, out=home / "earlier", until="measure")
    path = home / "earlier" / "measured.json"
    document = json.loads(path.read_text())
    for target in document["targets"]:
        del target["reason"]
    path.write_text(json.dumps(document))
    (note,) = pipeline.resume(home / "earlier").notes
    assert note == "latencies on a100 are predicted, none was measured"


def test_members_that_its_memory_does_not_hold_stay_predicted(
    settings: Settings, heard: Any, a100_here: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, seen = machine.GpuMachine._held, []

    def first_only(self: Any, *arguments: Any) -> Any:
        seen.append(arguments)
        return real(self, *arguments) if len(seen) == 1 else None

    monkeypatch.setattr(machine.GpuMachine, "_held", first_only)
    context = Context(settings)
    space = context.space
    found = [space.decode(code) for code in (space.smallest(), space.largest())]
    front = [Member({"id": a.id, "architecture": a.to_dict()}, (None,)) for a in found]
    work: Any = SimpleNamespace(context=context, console=heard)
    measured = pipeline._measured(work, front, context.target)
    assert list(measured) == [found[0].id]
    assert measured[found[0].id]["ms"] > 0
    assert "1 of 2 networks left out: the GPU's memory does not hold them" in heard.said


def test_the_command_measures_it_and_predictions_rest_on_that(
    settings: Settings, heard: Any, a100_here: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = Plan(whole_networks=5, widest=1e9, gpu_effort=Effort(0.0, least=2, most=2))
    given: list[float] = []
    monkeypatch.setattr(Plan, "within", lambda self, seconds: given.append(seconds) or plan)
    outcome = commands.measure(settings, seconds=3.0, console=heard)
    assert given == [3.0]
    assert "corrected by 5 networks measured on NVIDIA A100-SXM4-80GB" in outcome.lines[0]
    assert outcome.document["conditions"]["clocks"]["before"] == {"sm_mhz": 1410.0}
    assert outcome.document["target"]["device"] == "a100"


def test_the_time_given_is_that_of_all_ways_to_measure() -> None:
    plan = Plan().within(7.0)
    efforts = (plan.effort, plan.whole_effort, plan.gpu_effort)
    assert [effort.seconds for effort in efforts] == [7.0] * 3
    assert [effort.most for effort in efforts] == [16, 200, 200]
