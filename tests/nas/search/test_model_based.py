"""The surrogate, the expected gain, and what they are worth together."""

from __future__ import annotations

import numpy as np
import pytest
import threadpoolctl

from nas.search import make_searcher
from nas.search.acquisition import expected_gain
from nas.search.front import hypervolume
from nas.search.surrogate import Surrogate


@pytest.mark.parametrize("m", [1, 2])
def test_the_expected_gain_equals_the_gain_integrated_over_the_normal(m):
    rng = np.random.default_rng(0)
    known = rng.uniform(size=(8, m))
    mean, std = rng.uniform(size=(5, m)), rng.uniform(0.05, 0.3, size=5)
    reference = np.full(m, 0.9) if m == 2 else known.min(axis=0)
    before = hypervolume(known, reference)
    steps = np.linspace(-8, 8, 2001)
    density = np.exp(-0.5 * steps**2) / np.sqrt(2 * np.pi) * (steps[1] - steps[0])
    expected = np.zeros(5)
    for i in range(5):
        for step, weight in zip(steps, density, strict=True):
            point = mean[i].copy()
            point[0] += std[i] * step
            expected[i] += weight * (hypervolume(np.vstack([known, point]), reference) - before)
    gains = expected_gain(known, mean, std, reference)
    np.testing.assert_allclose(gains, expected, rtol=1e-4, atol=1e-7)


def test_the_gain_in_three_objectives_prefers_what_dominates():
    known = np.random.default_rng(1).uniform(0.4, 1.0, size=(10, 3))
    mean = np.array([[0.9, 0.9, 0.9], [0.3, 0.3, 0.3], [0.5, 0.5, 0.5]])
    gains = expected_gain(known, mean, np.full(3, 0.01), np.ones(3))
    assert np.argmax(gains) == 1
    assert (gains >= 0).all()


def quadratic(n, rng):
    features = rng.integers(0, 2, size=(n, 12)).astype(np.float32)
    values = features[:, 0] + features[:, 1] * features[:, 2] - 2 * features[:, 3] * features[:, 4]
    return features, np.stack([values, features.sum(axis=1)], axis=1)


def test_a_surrogate_learns_pairs_of_features():
    rng = np.random.default_rng(0)
    features, values = quadratic(150, rng)
    unseen, truth = quadratic(400, rng)
    mean, std = Surrogate(features, values, rng).predict(unseen)
    assert mean.shape == (400, 2)
    assert std.shape == (400,)
    for j in range(2):
        assert np.corrcoef(mean[:, j], truth[:, j])[0, 1] > 0.95


def test_a_surrogate_is_less_sure_far_from_what_it_saw():
    rng = np.random.default_rng(0)
    features, values = quadratic(60, rng)
    surrogate = Surrogate(features, values, rng)
    assert surrogate.predict(features)[1].mean() < surrogate.predict(3 * features + 2)[1].mean()


def test_a_surrogate_does_not_depend_on_the_number_of_threads():
    features, values = quadratic(200, np.random.default_rng(0))
    means = []
    for threads in (1, 2):
        with threadpoolctl.threadpool_limits(threads):
            surrogate = Surrogate(features, values, np.random.default_rng(1))
            means.append(surrogate.predict(features)[0])
    np.testing.assert_array_equal(*means)


def test_evolution_finds_more_of_the_front_than_random(problem):
    """Ten seeds, equal evaluations, as it is used: one ask at a time, 16 ahead of the results."""
    reference = np.array([1.0, 6.0])
    wins = 0
    for seed in range(10):
        volumes = {}
        for name in ("evolution", "random"):
            searcher = make_searcher(name, problem.space, seed=seed, cheap=problem.cheap)
            codes, told = [], []
            for i in range(60):
                if i >= 16:
                    code = codes[i - 16]
                    latency = problem.cheap(code[None])[0, 0]
                    told.append(problem.objectives(problem.evaluate(code), latency))
                    searcher.tell(code[None], told[-1][None])
                codes.append(searcher.ask(1)[0])
            volumes[name] = hypervolume(np.stack(told), reference)
        wins += volumes["evolution"] > volumes["random"]
    assert wins >= 9
