"""A machine that is no longer as fast as its profile is told of."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any

import pytest

from nas.latency import CpuPredictor, Effort, Plan, Target, predictor_for
from nas.latency.gpu.predictor import GpuPredictor
from nas.latency.profiles import speed
from nas.latency.profiles.speed import FRESH, speed_note, speed_now, tell_speed
from search_spaces.space import SearchSpace


@pytest.fixture
def predictor(space: SearchSpace, plan: Plan) -> CpuPredictor:
    found = predictor_for(space, Target("cpu", threads=1), plan=plan)
    assert isinstance(found, CpuPredictor)
    return found


def _aged(predictor: CpuPredictor, age: datetime.timedelta) -> CpuPredictor:
    date = (datetime.datetime.now(datetime.UTC) - age).isoformat(timespec="seconds")
    conditions = {**predictor.profile.conditions, "date": date}
    profile = dataclasses.replace(predictor.profile, conditions=conditions)
    return CpuPredictor(predictor.space, predictor.target, profile)


def test_the_machines_speed_is_that_of_the_profiles_own_networks(
    predictor: CpuPredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = {tuple(n["code"]): n["ms"] for n in predictor.profile.networks}
    real, brief = speed.measure_finalists, Effort(0.0, least=2, most=2)

    def slower(architectures, *arguments, **more):  # type: ignore[no-untyped-def]
        found = real(architectures, *arguments, **{**more, "effort": brief})
        found.ms[:] = [1.3 * stored[tuple(predictor.space.encode(a))] for a in architectures]
        return found

    monkeypatch.setattr(speed, "measure_finalists", slower)
    assert speed_now(predictor) == pytest.approx(1.3)


def test_a_change_of_speed_is_told_from_a_tenth_on() -> None:
    assert speed_note(1.05) is None
    assert speed_note(1 / 1.05) is None
    assert "slower now" in (speed_note(1.3) or "")
    assert "take 0.70 times as long" in (speed_note(0.7) or "")


def test_only_a_profile_that_is_not_fresh_is_compared_with_the_machine(
    predictor: CpuPredictor, heard: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speed, "speed_now", lambda *_: 1.4)
    tell_speed(_aged(predictor, FRESH / 2), heard)
    assert heard.said == []
    tell_speed(_aged(predictor, FRESH * 2), heard)
    assert [note.partition(":")[0] for note in heard.said] == [
        "This machine is slower now than when its latencies were measured"
    ]


def test_nothing_is_measured_for_another_device(
    space: SearchSpace, heard: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> float:
        raise AssertionError

    monkeypatch.setattr(speed, "speed_now", refuse)
    tell_speed(GpuPredictor(space, Target("a100")), heard)
