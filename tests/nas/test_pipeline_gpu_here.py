"""A GPU that is at hand: `nas measure` profiles it, and a search measures its finalists there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nas import pipeline
from nas.commands import steps as commands
from nas.latency import Effort, Plan
from nas.latency.timing.machines import machine_of
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
    home: Path, settings: Settings, heard: Any, fake_machine: Any
) -> None:
    machine = fake_machine(2.5)
    found = pipeline.run(
        settings, out=home / "run", until="measure", console=heard, machine_of=machine
    )
    assert found.front
    assert {member.latencies[0].measured_ms for member in found.front} == {2.5}
    assert all(note.startswith("networks on a100 take ") for note in found.notes)  # 2.5 ms is slow
    assert any(said.startswith("repeat noise of a100: ") for said in heard.said)
    shown = pipeline.run(settings, out=home / "run", until="measure")  # where the GPU is not
    assert shown.to_dict() == found.to_dict()


def test_a_runtime_that_cannot_be_measured_is_told_as_what_it_is(
    home: Path, heard: Any, a100_here: None
) -> None:
    asked = _settings(home, runtime="tensorrt")
    found = pipeline.run(
        asked, out=home / "kit", until="measure", console=heard, machine_of=machine_of
    )
    assert all(member.latencies[0].measured_ms is None for member in found.front)
    (note,) = found.notes
    assert note in heard.said
    assert note.startswith(
        "latencies on a100 are predicted, none was measured: a100 is at hand, but tensorrt does "
        "not run in this program"
    )


def test_a_memory_that_holds_nothing_is_told_as_what_it_is(
    home: Path, settings: Settings, fake_machine: Any
) -> None:
    found = pipeline.run(
        settings, out=home / "full", until="measure", machine_of=fake_machine(holds=0)
    )
    (note,) = found.notes
    assert "none was measured: The memory of a100 holds none of the" in note


def test_members_that_its_memory_does_not_hold_stay_predicted(
    home: Path, settings: Settings, fake_machine: Any
) -> None:
    found = pipeline.run(
        settings, out=home / "first", until="measure", machine_of=fake_machine(1.0, holds=1)
    )
    measured = [member.latencies[0].measured_ms for member in found.front]
    assert measured == [1.0, *[None] * (len(measured) - 1)]
    assert found.notes == ()


def test_a_target_at_hand_is_measured_by_its_own_machine(
    home: Path, settings: Settings, a100_here: None
) -> None:
    found = pipeline.run(settings, out=home / "own", until="measure", machine_of=machine_of)
    assert all(member.latencies[0].measured_ms for member in found.front)


def test_the_command_measures_it_and_predictions_rest_on_that(
    settings: Settings, heard: Any, a100_here: None
) -> None:
    plan = Plan(whole_networks=5, widest=1e9, gpu_effort=Effort(0.0, least=2, most=2))
    outcome = commands.measure(
        settings, seconds=0.5, plan=plan, console=heard, machine_of=machine_of
    )
    assert "corrected by 5 networks measured on NVIDIA A100-SXM4-80GB" in outcome.lines[0]
    assert outcome.document["conditions"]["clocks"]["before"] == {"sm_mhz": 1410.0}
    assert outcome.document["target"]["device"] == "a100"


def test_the_time_given_is_that_of_all_ways_to_measure() -> None:
    plan = Plan().within(7.0)
    efforts = (plan.effort, plan.whole_effort, plan.gpu_effort)
    assert [effort.seconds for effort in efforts] == [7.0] * 3
    assert [effort.most for effort in efforts] == [16, 200, 200]
