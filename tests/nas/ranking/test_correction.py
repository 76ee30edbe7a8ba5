from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.stats import kendalltau
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct

from nas.ranking.correction import Networks, correct, log_errors
from nas.ranking.process import _JITTER, WEIGHTS, LinearMeanProcess

GROUPS = np.repeat(np.arange(6), 3)


def drawn(seed: int, noise: float) -> tuple[Networks, np.ndarray]:
    """300 networks of six genes, their errors, and a score that is disturbed."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(3, size=(300, 6))
    features = np.concatenate([np.eye(3)[codes[:, gene]] for gene in range(6)], axis=1)
    depth = (codes > 0).sum(axis=1).astype(float)
    macs = 1e6 * np.exp(0.2 * depth + 0.1 * codes[:, 0])
    errors = -0.4 * depth + features @ rng.normal(0, 0.3, 18)
    score = errors + noise * rng.normal(size=300)
    return Networks(features, GROUPS, score, depth, macs), errors


def test_the_process_is_scikit_learns_with_the_same_kernel() -> None:
    rng = np.random.default_rng(0)
    features, new = rng.normal(size=(12, 3)), rng.normal(size=(5, 3))
    targets = rng.normal(2.0, 3.0, 12)
    process = LinearMeanProcess(np.zeros(3, dtype=int))
    process.fit(features, features, targets)
    mean, std = process.predict(new, new)
    weight, amplitude, noise = np.exp(process._theta)
    peer = GaussianProcessRegressor(
        amplitude * RBF(1 / weight) + WEIGHTS * DotProduct(1e-12) + ConstantKernel(1.0),
        alpha=noise + _JITTER,
        optimizer=None,
    )
    peer.fit(features, (targets - targets.mean()) / targets.std())
    theirs, their_std = peer.predict(new, return_std=True)
    assert mean == pytest.approx(theirs * targets.std() + targets.mean())
    assert std == pytest.approx(their_std * targets.std())
    assert process.noise == pytest.approx(np.sqrt(noise) * targets.std())


def test_ten_networks_correct_a_noisy_score() -> None:
    gains = []
    for seed in range(4):
        networks, errors = drawn(seed, noise=0.6)
        rows = np.random.default_rng(seed).permutation(300)[:10]
        found = correct(networks, rows, errors[rows])
        before = kendalltau(networks.score, errors).statistic
        gains.append(kendalltau(found.mean, errors).statistic - before)
        assert (found.low < found.mean).all() and (found.mean < found.high).all()
    assert min(gains) > 0.1


def test_intervals_hold_most_of_the_others() -> None:
    shares = []
    for seed in range(6):
        networks, errors = drawn(seed, noise=0.6)
        rows = np.random.default_rng(seed).permutation(300)[:20]
        found = correct(networks, rows, errors[rows])
        shares.append(((found.low <= errors) & (errors <= found.high)).mean())
    assert np.mean(shares) > 0.8


def test_a_score_that_says_nothing_is_corrected_by_depth_and_features() -> None:
    networks, errors = drawn(0, noise=0.0)
    silent = dataclasses.replace(networks, score=np.zeros(300))
    rows = np.random.default_rng(0).permutation(300)[:30]
    assert kendalltau(correct(silent, rows, errors[rows]).mean, errors).statistic > 0.7


def test_few_networks_keep_their_scores_unsmoothed() -> None:
    networks, _ = drawn(0, noise=0.6)
    few = Networks(
        networks.features[:20],
        GROUPS,
        networks.score[:20],
        networks.depth[:20],
        networks.macs[:20],
    )
    assert few.smoothed is few.score
    assert np.std(networks.smoothed) < np.std(networks.score)


def test_no_error_is_as_good_as_half_an_image() -> None:
    assert log_errors(np.array([0.0, 0.5]), 0.01).tolist() == pytest.approx(
        [np.log(0.01), np.log(0.5)]
    )
