"""A Gaussian process with a length scale for each group of features, such as a gene's.

    symbol   shape     meaning
    x        (n, f)    features
    w        (g,)      inverse length of each group of features, learnt
    y        (n,)      targets, standardised
    d(x,x')  = sum over features of (w_group (x - x') / s_group)^2
    K        = exp(-d / 2) + noise I
    v        = (y' K^-1 y + 1) / (n + 1)        the variance, in closed form

    log p(y | w, noise) = -(n + 1)/2 log v - 1/2 log |K| + const                               (1)
    log w ~ N(-log(g) / 2, 1),   log noise ~ N(-6, 2)                                          (2)
    mean = k' K^-1 y,   std^2 = v (1 - k' K^-1 k)                                              (3)

s_group scales a group so that the mean squared distance of two rows within it is 1. With the
prior's mean (2), two random rows are then at d = 1 however many groups there are. (1) + (2) is
maximised again whenever the number of rows has grown by an eighth, (3) is computed at every fit.

Papers: Rasmussen and Williams 2006, Gaussian Processes for Machine Learning, Algorithm 2.1 and
Section 5.4.1, http://gaussianprocess.org/gpml; a prior that grows with the dimension, Hvarfner et
al. 2024, https://arxiv.org/abs/2402.02229
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, solve_triangular
from scipy.optimize import minimize

from nas.search.protocol import Floats
from nas.search.threads import one_blas_thread

_LOG_NOISE = -6.0
_LOG_NOISE_SD = 2.0
_JITTER = 1e-6
_STEPS = 60
_RELEARN = 1.125
_BOUNDS = (-8.0, 4.0)
_NOISE_BOUNDS = (-13.0, 1.0)


class GaussianProcess:
    """See the module.

    Args:
        groups: Which group each feature belongs to, (f,), numbered from 0.
    """

    def __init__(self, groups: NDArray[np.integer[Any]]) -> None:
        self._groups = np.asarray(groups)
        self._members = np.eye(int(self._groups.max(initial=0)) + 1)[self._groups]  # (f, g)
        self._scale = np.ones(len(self._groups))
        self._log_w: Floats = np.full(self._members.shape[1], self._prior_mean)
        self._log_noise = _LOG_NOISE
        self._learnt_from = 0

    @property
    def _prior_mean(self) -> float:
        return -0.5 * float(np.log(self._members.shape[1]))

    def fit(self, features: Floats, targets: Floats) -> None:
        """Learn from all that was told: features (n, f), targets (n,), n >= 2."""
        features = np.asarray(features, dtype=float)
        self._mean, self._std = float(targets.mean()), float(targets.std()) + 1e-12
        with one_blas_thread():
            if len(features) >= self._learnt_from * _RELEARN:
                self._learn(features, (targets - self._mean) / self._std)
                self._learnt_from = len(features)
            self._condition(features, (targets - self._mean) / self._std)

    def believe(self, features: Floats) -> None:
        """Count codes that are being evaluated, (p, f), as known, with their predicted values."""
        if not len(features):
            return
        mean, _ = self.predict(features)
        rows = np.concatenate([self._features, np.asarray(features, dtype=float)])
        targets = np.concatenate([self._targets, (mean - self._mean) / self._std])
        with one_blas_thread():
            self._condition(rows, targets)

    def predict(self, features: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the objective, each (p,)."""
        with one_blas_thread():
            cross = np.exp(-0.5 * _distances(self._rows, self._weighted(features)))
            mean: Floats = self._weights @ cross
            explained = solve_triangular(self._root, cross, lower=True, check_finite=False)
        share = np.maximum(1.0 - np.einsum("ij,ij->j", explained, explained), 1e-9)
        std: Floats = np.sqrt(share * self._variance) * self._std
        return mean * self._std + self._mean, std

    def _weighted(self, features: Floats) -> Floats:
        weighted: Floats = np.asarray(features, dtype=float) * self._scale
        return weighted * np.exp(self._log_w)[self._groups]

    def _condition(self, features: Floats, targets: Floats) -> None:
        """Equation (3) for these rows."""
        self._features, self._targets = features, targets
        self._rows = self._weighted(features)
        kernel = np.exp(-0.5 * _distances(self._rows, self._rows))
        kernel[np.diag_indices(len(kernel))] += np.exp(self._log_noise) + _JITTER
        self._root = np.linalg.cholesky(kernel)
        self._weights = cho_solve((self._root, True), targets)
        self._variance = (float(targets @ self._weights) + 1.0) / (len(targets) + 1)

    def _learn(self, features: Floats, targets: Floats) -> None:
        """The most probable lengths and noise, (1) and (2)."""
        spread = 2.0 * features.var(axis=0) @ self._members
        self._scale = 1.0 / np.sqrt(np.where(spread > 1e-12, spread, 1.0))[self._groups]
        scaled = features * self._scale
        start = np.append(self._log_w, self._log_noise)
        bounds = [_BOUNDS] * len(self._log_w) + [_NOISE_BOUNDS]
        found = minimize(
            self._loss,
            start,
            args=(scaled, targets),
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": _STEPS},
        )
        self._log_w, self._log_noise = found.x[:-1], float(found.x[-1])

    def _loss(self, theta: Floats, features: Floats, targets: Floats) -> tuple[float, Floats]:
        """Minus the sum of (1) and (2), without constants, and its gradient."""
        n = len(features)
        log_w, noise = theta[:-1], np.exp(theta[-1])
        rows = features * np.exp(log_w)[self._groups]
        signal = np.exp(-0.5 * _distances(rows, rows))
        kernel = signal.copy()
        kernel[np.diag_indices(n)] += noise + _JITTER
        try:
            root = np.linalg.cholesky(kernel)
        except np.linalg.LinAlgError:
            return 1e10, np.zeros_like(theta)
        inverse = cho_solve((root, True), np.eye(n), check_finite=False)
        weights = inverse @ targets
        variance = (targets @ weights + 1.0) / (n + 1)
        by_kernel = 0.5 * (inverse - np.outer(weights, weights) / variance)
        by_distance = -0.5 * by_kernel * signal
        # d distance_ij / d log w = 2 (row_i - row_j)^2, summed over the features of a group
        by_feature = 4.0 * (
            (rows * rows * by_distance.sum(axis=1)[:, None]).sum(axis=0)
            - (rows * (by_distance @ rows)).sum(axis=0)
        )
        away = log_w - self._prior_mean
        away_noise = (theta[-1] - _LOG_NOISE) / _LOG_NOISE_SD
        loss = 0.5 * (n + 1) * np.log(variance) + np.log(np.diag(root)).sum()
        loss += 0.5 * (away @ away) + 0.5 * away_noise**2
        gradient = np.append(
            by_feature @ self._members + away,
            np.trace(by_kernel) * noise + away_noise / _LOG_NOISE_SD,
        )
        return float(loss), gradient


def _distances(first: Floats, second: Floats) -> Floats:
    """Squared Euclidean distances between rows: (n, p)."""
    squares = (first * first).sum(axis=1)[:, None] + (second * second).sum(axis=1)
    squares -= 2.0 * first @ second.T
    distances: Floats = np.maximum(squares, 0.0, out=squares)
    return distances
