"""A machine that is no longer as fast as its profile is told of."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any

import numpy as np
import pytest
from torch import nn

from nas.latency import PartsPredictor, Plan, Target, predictor_for
from nas.latency.gpu.predictor import GpuPredictor
from nas.latency.profiles.speed import FRESH, speed_note, speed_now, tell_speed
from search_spaces import build_network
from search_spaces.space import SearchSpace


@pytest.fixture
def predictor(space: SearchSpace, plan: Plan) -> PartsPredictor:
    found = predictor_for(space, Target("cpu", threads=1), plan=plan)
    assert isinstance(found, PartsPredictor)
    return found


def _aged(predictor: PartsPredictor, age: datetime.timedelta) -> PartsPredictor:
    date = (datetime.datetime.now(datetime.UTC) - age).isoformat(timespec="seconds")
    conditions = {**predictor.profile.conditions, "date": date}
    profile = dataclasses.replace(predictor.profile, conditions=conditions)
    return PartsPredictor(predictor.space, predictor.target, profile)


def _size(network: nn.Module, shape: tuple[int, ...] = ()) -> float:
    return float(sum(parameter.numel() for parameter in network.parameters()))


@pytest.fixture
def measured_in_parameters(predictor: PartsPredictor) -> PartsPredictor:
    """Its networks took one millisecond for each parameter."""
    networks = tuple(
        {**one, "ms": _size(build_network(predictor.space.decode(np.array(one["code"]))))}
        for one in predictor.profile.networks
    )
    profile = dataclasses.replace(predictor.profile, networks=networks)
    return PartsPredictor(predictor.space, predictor.target, profile)


def test_the_speed_is_that_of_the_profiles_own_networks(
    measured_in_parameters: PartsPredictor, scripted: Any
) -> None:
    machine = scripted(lambda network, shape: 1.3 * _size(network))
    assert speed_now(measured_in_parameters, machine=machine) == pytest.approx(1.3)


def test_a_change_of_speed_is_told_from_a_tenth_on() -> None:
    assert speed_note(1.05) is None
    assert speed_note(1 / 1.05) is None
    assert "slower now" in (speed_note(1.3) or "")
    assert "take 0.70 times as long" in (speed_note(0.7) or "")


def test_only_a_profile_that_is_not_fresh_is_compared_with_the_machine(
    measured_in_parameters: PartsPredictor, heard: Any, scripted: Any
) -> None:
    machine = scripted(lambda network, shape: 1.4 * _size(network))
    tell_speed(_aged(measured_in_parameters, FRESH / 2), heard, machine)
    assert heard.said == []
    tell_speed(_aged(measured_in_parameters, FRESH * 2), heard, machine)
    assert [note.partition(":")[0] for note in heard.said] == [
        "This machine is slower now than when its latencies were measured"
    ]


def test_nothing_is_measured_for_another_device(
    space: SearchSpace, heard: Any, scripted: Any
) -> None:
    machine = scripted(lambda network, shape: pytest.fail("it was measured"))
    tell_speed(GpuPredictor(space, Target("a100")), heard, machine)
