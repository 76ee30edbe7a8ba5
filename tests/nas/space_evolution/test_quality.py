from __future__ import annotations

import numpy as np
import pytest

from nas.space_evolution.quality import at_equal_cost, overall, quality_of


def test_the_error_that_a_cost_explains_is_taken_out() -> None:
    rng = np.random.default_rng(0)
    costs = np.exp(rng.uniform(0, 3, 400))
    usual = 0.5 - 0.1 * np.log(costs)
    better = rng.random(400) < 0.5
    level = at_equal_cost(usual * np.where(better, 0.8, 1.2), costs)
    ratio = level[better].mean() / level[~better].mean()
    assert ratio == pytest.approx(0.8 / 1.2, abs=0.04)
    cheap = costs < np.median(costs)
    assert level[cheap].mean() == pytest.approx(level[~cheap].mean(), rel=0.03)
    assert level.mean() == pytest.approx((usual * np.where(better, 0.8, 1.2)).mean(), rel=0.01)


def test_errors_that_rise_with_the_cost_are_left_as_they_are() -> None:
    costs = np.arange(1.0, 101.0)
    errors = costs / 1000
    np.testing.assert_allclose(at_equal_cost(errors, costs), errors)


def test_without_any_error_there_is_none_at_equal_cost() -> None:
    assert at_equal_cost(np.zeros(12), np.arange(1.0, 13.0)).tolist() == [0.0] * 12


def test_expected_and_top_tier_errors_are_means_over_the_places_that_hold_a_value() -> None:
    errors = np.arange(40) / 100
    counts = np.zeros((40, 2))
    counts[:20, 0], counts[20:, 1] = 1, 1
    counts[0, 0] = 3  # three of its blocks
    quality = quality_of(counts, errors, np.random.default_rng(0))
    assert quality.expected[0] == pytest.approx(errors[:20].sum() / 22)
    assert quality.expected[1] == pytest.approx(errors[20:].mean())
    assert quality.top_tier[0] == pytest.approx(0.0)  # 2.2 places, all of the first
    assert quality.top_tier[1] == pytest.approx(errors[20:22].mean())
    np.testing.assert_allclose(quality.error, (quality.expected + quality.top_tier) / 2)
    assert quality.held.tolist() == [20, 20]


def test_the_standard_error_of_the_slope_is_that_of_repeated_samples() -> None:
    rng = np.random.default_rng(0)

    def sample() -> tuple[float, float]:
        counts = np.eye(3)[rng.integers(3, size=200)]
        errors = counts @ [0.3, 0.2, 0.1] + rng.normal(0, 0.05, 200)
        return quality_of(counts, errors, rng, 100).slope()

    slopes, said = zip(*(sample() for _ in range(60)), strict=True)
    assert np.mean(slopes) == pytest.approx(-0.1, abs=0.005)
    assert np.mean(said) == pytest.approx(np.std(slopes), rel=0.3)


def test_a_value_that_nothing_holds_has_no_error() -> None:
    counts = np.stack([np.ones(12), np.zeros(12)], axis=1)
    quality = quality_of(counts, np.linspace(0, 1, 12), np.random.default_rng(0))
    assert np.isnan(quality.error[1])
    assert np.isfinite(quality.error[0])


def test_a_space_of_a_hundred_has_a_top_tier_of_ten() -> None:
    expected, top = overall(np.arange(100) / 100)
    assert expected == pytest.approx(0.495)
    assert top == pytest.approx(0.045)
