"""The Gaussian process against scikit-learn's, and its gradient against differences."""

from __future__ import annotations

import numpy as np
import pytest
import threadpoolctl
from scipy.optimize import approx_fprime
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF

from nas.search.surrogates.gaussian_process import _JITTER, GaussianProcess

GROUPS = np.array([0, 0, 0, 1, 1, 2])


def draw(n, rng):
    features = rng.integers(0, 2, size=(n, 6)).astype(float) + rng.normal(0, 0.1, size=(n, 6))
    return features, np.sin(2 * features[:, 0]) + features[:, 3] * features[:, 5]


def test_the_posterior_equals_scikit_learns_with_the_same_lengths():
    rng = np.random.default_rng(0)
    features, targets = draw(40, rng)
    unseen, _ = draw(30, rng)
    process = GaussianProcess(GROUPS)
    process.fit(features, targets)
    lengths = 1.0 / (np.exp(process._log_w)[GROUPS] * process._scale)
    noise = np.exp(process._log_noise) + _JITTER
    standard = (targets - targets.mean()) / targets.std()
    peer = GaussianProcessRegressor(RBF(lengths), alpha=noise, optimizer=None)
    expected, deviation = peer.fit(features, standard).predict(unseen, return_std=True)
    mean, std = process.predict(unseen)
    np.testing.assert_allclose(mean, expected * targets.std() + targets.mean(), rtol=1e-6)
    variance = (
        standard @ np.linalg.solve(peer.kernel_(features) + noise * np.eye(40), standard) + 1
    ) / 41
    np.testing.assert_allclose(std, deviation * np.sqrt(variance) * targets.std(), rtol=1e-5)


def test_the_gradient_equals_differences():
    rng = np.random.default_rng(1)
    features, targets = draw(25, rng)
    process = GaussianProcess(GROUPS)
    for _ in range(3):
        theta = np.append(rng.normal(-0.5, 0.7, size=3), rng.normal(-3, 1))
        _, gradient = process._loss(theta, features, targets)
        numeric = approx_fprime(theta, lambda t: process._loss(t, features, targets)[0], 1e-6)
        np.testing.assert_allclose(gradient, numeric, rtol=1e-3, atol=1e-4)


def test_a_group_without_effect_gets_a_long_length():
    rng = np.random.default_rng(2)
    features = rng.normal(size=(80, 6))
    process = GaussianProcess(GROUPS)
    process.fit(features, np.sin(features[:, 5]))
    assert process._log_w[2] > process._log_w[0] + 1
    assert process._log_w[2] > process._log_w[1] + 1


def test_what_is_believed_is_known_and_changes_no_mean():
    rng = np.random.default_rng(3)
    features, targets = draw(30, rng)
    unseen, _ = draw(10, rng)
    process = GaussianProcess(GROUPS)
    process.fit(features, targets)
    mean, std = process.predict(unseen)
    process.believe(unseen[:5])
    believed, surer = process.predict(unseen)
    np.testing.assert_allclose(believed, mean, atol=0.02 * targets.std())
    assert (surer[:5] < 0.8 * std[:5]).all()


def test_constant_targets_and_equal_rows_do_no_harm():
    process = GaussianProcess(GROUPS)
    process.fit(np.ones((8, 6)), np.full(8, 3.0))
    mean, std = process.predict(np.zeros((2, 6)))
    np.testing.assert_allclose(mean, 3.0)
    assert np.isfinite(std).all()


@pytest.mark.parametrize("n", [20, 150])
def test_the_number_of_threads_changes_nothing(n):
    features, targets = draw(n, np.random.default_rng(4))
    found = []
    for threads in (1, 2):
        with threadpoolctl.threadpool_limits(threads):
            process = GaussianProcess(GROUPS)
            process.fit(features, targets)
            found.append(process.predict(features + 0.5))
    np.testing.assert_array_equal(*found)
