"""Expected gains against integrals over the distribution they are expectations of."""

from __future__ import annotations

import numpy as np
import pytest

from nas.search.front import hypervolume
from nas.search.surrogates.acquisition import Belief, best_gain, hypervolume_gain, logarithms

STEPS = np.linspace(-8, 8, 4001)
DENSITY = np.exp(-0.5 * STEPS**2) / np.sqrt(2 * np.pi) * (STEPS[1] - STEPS[0])


def belief(rng, n, log):
    mean, std = rng.uniform(0.1, 0.9, size=n), rng.uniform(0.05, 0.3, size=n)
    return Belief(np.log(mean), std, True) if log else Belief(mean, std, False)


def values(belief, i):
    """The errors that candidate `i` may turn out to have, as likely as `DENSITY` says."""
    drawn = belief.mean[i] + belief.std[i] * STEPS
    return np.exp(drawn) if belief.log else drawn


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("m", [1, 2])
def test_the_gain_in_hypervolume_equals_its_integral(m, log):
    rng = np.random.default_rng(0)
    known = rng.uniform(0.1, 0.9, size=(8, m))
    candidates, others = belief(rng, 5, log), rng.uniform(size=(5, m - 1))
    reference = np.full(m, 0.8) if m == 2 else known.min(axis=0)
    before = hypervolume(known, reference)
    expected = [
        sum(
            weight * (hypervolume(np.vstack([known, [value, *others[i]]]), reference) - before)
            for value, weight in zip(values(candidates, i), DENSITY, strict=True)
        )
        for i in range(5)
    ]
    gains = hypervolume_gain(known, candidates, others, reference)
    np.testing.assert_allclose(gains, expected, rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize(("within", "best"), [([0, 1, 1], 0.5), ([0, 0, 0], 0.7)])
def test_the_gain_within_a_budget_is_over_the_best_so_far_or_else_the_worst(log, within, best):
    candidates = belief(np.random.default_rng(1), 4, log)
    can = np.array([True, False, True, True])
    expected = [
        can[i] * (np.maximum(best - values(candidates, i), 0.0) * DENSITY).sum() for i in range(4)
    ]
    errors = np.array([0.3, 0.5, 0.7])
    gains = best_gain(errors, np.array(within, dtype=bool), candidates, can)
    np.testing.assert_allclose(gains, expected, rtol=1e-4, atol=1e-9)


def test_the_gain_in_three_objectives_prefers_what_dominates():
    known = np.random.default_rng(1).uniform(0.4, 1.0, size=(10, 3))
    candidates = Belief(np.array([0.9, 0.3, 0.5]), np.full(3, 0.01), False)
    others = np.array([[0.9, 0.9], [0.3, 0.3], [0.5, 0.5]])
    gains = hypervolume_gain(known, candidates, others, np.ones(3))
    assert np.argmax(gains) == 1
    assert (gains >= 0).all()


def test_errors_are_learnt_as_logarithms_unless_one_is_negative():
    values, log = logarithms(np.array([0.0, 0.5, 1.0]))
    assert log
    np.testing.assert_allclose(values, np.log([1e-3, 0.5, 1.0]))
    values, log = logarithms(np.array([-1.0, 0.5]))
    assert not log
    np.testing.assert_array_equal(values, [-1.0, 0.5])


def test_a_constant_error_of_zero_has_a_logarithm():
    values, log = logarithms(np.zeros(3))
    assert log
    assert np.isfinite(values).all()
