"""Intervals of other coverages than the usual."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from nas.latency import PartsPredictor, Plan, Target, predictor_for
from nas.latency.prediction import COVERAGE, PROCESSOR_CHANGE, another_day, widened
from search_spaces.space import SearchSpace


def test_a_usual_interval_is_not_widened() -> None:
    assert widened(0.2, COVERAGE) == pytest.approx(0.2)


def test_errors_and_changes_of_speed_add_up_as_independent_ones_do() -> None:
    assert another_day(0.0, 0.15) == 0.15
    assert another_day(0.2, 0.15) == pytest.approx(0.25)


@pytest.mark.parametrize("confidence", [0.5, 0.8, 0.95, 0.98])
def test_other_intervals_are_as_wide_as_normal_quantiles_say(confidence: float) -> None:
    ratio = norm.ppf((1 + confidence) / 2) / norm.ppf((1 + COVERAGE) / 2)
    assert widened(0.2, confidence) == pytest.approx(0.2 * ratio)


def test_a_measured_prediction_keeps_its_middle_and_changes_its_ends(
    space: SearchSpace, plan: Plan
) -> None:
    target = Target("cpu", threads=1)
    codes = space.sample(5, np.random.default_rng(0))
    usual = predictor_for(space, target, plan=plan)
    sure = predictor_for(space, target, confidence=0.98)
    assert isinstance(usual, PartsPredictor)
    assert isinstance(sure, PartsPredictor)
    assert (usual.confidence, sure.confidence) == (COVERAGE, 0.98)
    assert math.log(usual.interval_factor) > PROCESSOR_CHANGE
    np.testing.assert_array_equal(usual.predict(codes).ms, sure.predict(codes).ms)
    np.testing.assert_allclose(
        np.log(sure.predict(codes).high_ms / sure.predict(codes).ms),
        widened(math.log(usual.interval_factor), 0.98),
    )
