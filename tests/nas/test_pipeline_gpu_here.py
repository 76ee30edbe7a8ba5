"""A GPU that is at hand: `nas measure` profiles it, and a search measures its finalists there."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nas import commands, pipeline
from nas.context import Context
from nas.latency import Effort, Plan
from nas.latency.gpu import machine
from nas.settings import Settings
from nas.work import Member


@pytest.fixture
def settings(home: Path) -> Settings:
    return Settings(
        space=str(home / "minute.yaml"),
        data=f"npz:{home / 'images.npz'}",
        hardware="a100",
        precision="fp32",
        epochs=1,
        evaluations=4,
        lag=2,
    )


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
