"""Few-shot fits: known coefficients come back, intervals cover, priors help; wrong input."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from nas.errors import SettingsError
from nas.latency.profiles.choosing import most_certain
from nas.latency.profiles.correction import NOISES, Prior, fit

Floats = NDArray[np.float64]
TRUE = np.array([1.6, 0.4, 2.5, 0.9])


def networks(n: int, rng: np.random.Generator) -> Floats:
    """Terms of made-up networks, each a mixture of its own."""
    return rng.gamma(1.0, size=(n, len(TRUE))) + 0.01


def noisy(features: Floats, c: Floats, noise: float, rng: np.random.Generator) -> Floats:
    return np.asarray(features @ c * np.exp(noise * rng.standard_normal(len(features))))


def error(predicted: Floats, measured: Floats) -> float:
    return float(np.abs(predicted / measured - 1.0).mean())


def test_known_coefficients_are_recovered() -> None:
    rng = np.random.default_rng(0)
    features = networks(40, rng)
    fitted = fit(features, features @ TRUE)
    assert fitted.coefficients == pytest.approx(TRUE, rel=0.01)
    assert fitted.noise == min(NOISES)


def test_the_noise_that_fits_best_is_found() -> None:
    rng = np.random.default_rng(1)
    features = networks(40, rng)
    assert fit(features, noisy(features, TRUE, 0.03, rng)).noise == 0.03


def test_a_prior_that_is_right_predicts_from_three_networks() -> None:
    rng = np.random.default_rng(2)
    features = networks(500, rng)
    measured = noisy(features, TRUE, 0.02, rng)
    near = fit(features[:3], measured[:3], Prior.around(TRUE, spread=0.05, common=1.0))
    wide = fit(features[:3], measured[:3], Prior.around(np.ones(4), spread=1.0, common=1.0))
    assert error(near.predict(features).ms, measured) < 0.03
    assert error(near.predict(features).ms, measured) < error(wide.predict(features).ms, measured)


def test_a_device_unlike_the_prior_is_still_fitted() -> None:
    rng = np.random.default_rng(4)
    features = networks(300, rng)
    measured = features @ TRUE
    prior = Prior.around(np.array([1.6, 0.4, 2.5, 9.0]), spread=0.3, common=0.3)
    assert error(fit(features[:10], measured[:10], prior).predict(features).ms, measured) < 0.02


def test_intervals_cover_nine_tenths() -> None:
    rng = np.random.default_rng(5)
    inside = []
    for _ in range(40):
        features = networks(210, rng)
        measured = noisy(features, TRUE, 0.05, rng)
        prediction = fit(features[:10], measured[:10]).predict(features[10:])
        inside.append((prediction.low_ms <= measured[10:]) & (measured[10:] <= prediction.high_ms))
    assert 0.85 < np.mean(inside) < 0.95


def test_the_interval_holds_the_largest_error_of_ten_held_out() -> None:
    rng = np.random.default_rng(6)
    features = networks(10, rng)
    measured = noisy(features, TRUE, 0.05, rng)
    fitted = fit(features, measured)
    largest = np.abs(np.log(measured / fitted.held_out_ms)).max()
    assert fitted.log_half_width == pytest.approx(largest)
    prediction = fitted.predict(features)
    assert prediction.high_ms / prediction.ms == pytest.approx(np.exp(largest))
    assert prediction.ms / prediction.low_ms == pytest.approx(np.exp(largest))


def test_a_network_is_held_out_by_a_fit_to_the_others() -> None:
    rng = np.random.default_rng(7)
    features = networks(6, rng)
    measured = noisy(features, TRUE, 0.05, rng)
    others = fit(features[1:], measured[1:]).predict(features[:1])
    assert fit(features, measured).held_out_ms[0] == pytest.approx(others.ms[0])


def test_chosen_networks_tell_more_than_random_ones() -> None:
    rng = np.random.default_rng(8)
    # Of eight terms a network has two: eight random networks seldom show all of them.
    has = rng.permuted(np.tile(np.arange(8) < 2, (600, 1)), axis=1)
    features = has * rng.gamma(4.0, size=(600, 8))
    measured = features @ np.exp(0.5 * rng.standard_normal(8))
    chosen = most_certain(features, 8, rng)
    by_choice = error(fit(features[chosen], measured[chosen]).predict(features).ms, measured)
    by_chance = [
        error(fit(features[few], measured[few]).predict(features).ms, measured)
        for few in (rng.choice(600, 8, replace=False) for _ in range(10))
    ]
    assert by_choice < 0.5 * np.mean(by_chance)


def test_no_network_is_chosen_twice() -> None:
    rng = np.random.default_rng(9)
    features = networks(12, rng)
    features[6:] = features[:6]
    assert sorted(most_certain(features, 12, rng).tolist()) == list(range(12))


def test_choosing_follows_its_generator_alone() -> None:
    features = networks(3000, np.random.default_rng(10))
    np.random.seed(1)  # noqa: NPY002
    first = most_certain(features, 5, np.random.default_rng(11))
    np.random.seed(2)  # noqa: NPY002
    assert (most_certain(features, 5, np.random.default_rng(11)) == first).all()


def test_a_term_that_no_network_has_keeps_its_prior() -> None:
    rng = np.random.default_rng(12)
    features = networks(10, rng)
    features[:, 3] = 0.0
    fitted = fit(features, features @ TRUE, Prior.around(np.array([1.0, 1.0, 1.0, 7.0]), common=0))
    assert fitted.coefficients[3] == pytest.approx(7.0)


def test_wrong_terms_are_refused() -> None:
    good = networks(5, np.random.default_rng(13))
    fitted = fit(good, good @ TRUE)
    with pytest.raises(SettingsError, match=r"have the shape \(5, 3\): give \(networks, 4\)"):
        fitted.predict(good[:, :3])
    with pytest.raises(SettingsError, match=r"have the shape \(4,\): give \(networks, 4\)"):
        fit(good[0], good[0])
    for wrong in (-1.0, np.nan, np.inf):
        features = good.copy()
        features[2, 1] = wrong
        with pytest.raises(SettingsError, match="finite, none negative, and not all of them zero"):
            fit(features, good @ TRUE)
    with pytest.raises(SettingsError, match="not all of them zero"):
        most_certain(np.zeros((5, 4)), 2, np.random.default_rng(0))


def test_wrong_measurements_are_refused() -> None:
    good = networks(5, np.random.default_rng(14))
    with pytest.raises(SettingsError, match="Got 4 latencies and the terms of 5 networks"):
        fit(good, (good @ TRUE)[:4])
    with pytest.raises(SettingsError, match="three at least"):
        fit(good[:2], (good @ TRUE)[:2])
    with pytest.raises(SettingsError, match="Measured latencies have to be positive.*got.*0"):
        fit(good, np.zeros(5))


def test_wrong_priors_are_refused() -> None:
    with pytest.raises(SettingsError, match="Coefficients have to be positive numbers in 1 dim"):
        Prior.around(-TRUE)


@pytest.mark.parametrize("n", [0, 6])
def test_choosing_more_networks_than_there_are_is_refused(n: int) -> None:
    features = networks(5, np.random.default_rng(15))
    with pytest.raises(SettingsError, match=f"Cannot choose {n} of 5 networks"):
        most_certain(features, n, np.random.default_rng(0))
