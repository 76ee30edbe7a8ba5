"""A Gaussian process whose mean is a linear function with unknown weights.

    symbol   shape     meaning
    x        (n, f)    features, in groups; each group is scaled so that two random rows are at a
                       mean squared distance of 1 in it
    h        (n, p)    what the mean is linear in, standardised
    y        (n,)      targets, standardised
    w        (g,)      inverse length of each group
    K        = a exp(-d / 2) + B h h' + 1 + s I,   d(x, x') = sum of (w_group (x - x'))^2      (1)

    mean = k' K^-1 y,   variance = a + B h h' + 1 - k' K^-1 k                                  (2)
    log w ~ N(-log(g) / 2, 1/4),   log a ~ N(log 1/2, 1/2),   log s ~ N(log 1/10, 1)           (3)

The weights of the mean have a normal prior of variance B, and its constant one of variance 1, so
that they are integrated out and no regression comes first. w, a and s are the most probable ones.
The priors (3) hold for five targets as well as for hundreds; they were chosen on NAS-Bench-Macro
with `scripts/verify_on_table.py`.

Source: Rasmussen and Williams 2006, Gaussian Processes for Machine Learning, Section 2.7
(equation 2.39), http://gaussianprocess.org/gpml
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, solve_triangular
from scipy.optimize import minimize
from scipy.spatial.distance import cdist

from nas.search.protocol import Floats
from nas.search.threads import one_blas_thread

WEIGHTS = 0.3
"""B: the prior variance of the mean's weights, of standardised targets."""
AMPLITUDE, AMPLITUDE_SD = np.log(0.5), 0.7
NOISE, NOISE_SD = np.log(0.1), 1.0
LENGTH_SD = 0.5
_BOUNDS = (-7.0, 4.0)
_JITTER = 1e-6


class LinearMeanProcess:
    """See the module.

    Args:
        groups: Which group each feature belongs to, (f,), numbered from 0.
    """

    def __init__(self, groups: NDArray[np.integer[Any]]) -> None:
        self._groups = np.asarray(groups)
        count = int(self._groups.max(initial=0)) + 1
        self._prior = np.append(np.full(count, -0.5 * np.log(count)), [AMPLITUDE, NOISE])
        self._prior_sd = np.append(np.full(count, LENGTH_SD), [AMPLITUDE_SD, NOISE_SD])
        self._theta: Floats = self._prior

    def fit(self, features: Floats, linear: Floats, targets: Floats) -> None:
        """Learn from features (n, f), what the mean is linear in (n, p) and targets (n,)."""
        self._mean, self._std = float(targets.mean()), float(targets.std()) + 1e-12
        self._rows, self._linear = features, linear
        y = (targets - self._mean) / self._std
        with one_blas_thread():
            found = minimize(
                self._loss,
                self._prior,
                args=(y,),
                method="L-BFGS-B",
                bounds=[_BOUNDS] * len(self._prior),
            )
            self._theta = found.x
            self._root = np.linalg.cholesky(self._noisy())
            self._weights = cho_solve((self._root, True), y)

    def predict(self, features: Floats, linear: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation, each (q,), without the noise of a target."""
        with one_blas_thread():
            cross = self._kernel(features, linear)
            mean: Floats = self._weights @ cross * self._std + self._mean
            explained = solve_triangular(self._root, cross, lower=True)
        prior = np.exp(self._theta[-2]) + WEIGHTS * (linear**2).sum(axis=1) + 1.0
        variance: Floats = np.maximum(prior - (explained**2).sum(axis=0), 1e-9)
        std: Floats = np.sqrt(variance) * self._std
        return mean, std

    @property
    def noise(self) -> float:
        """The standard deviation of a target around its network's own value."""
        return float(np.exp(0.5 * self._theta[-1])) * self._std

    def _kernel(self, features: Floats, linear: Floats) -> Floats:
        """(1) without noise, between the learnt rows and others: (n, q)."""
        lengths = np.exp(self._theta[:-2])[self._groups]
        apart = cdist(self._rows * lengths, features * lengths, "sqeuclidean")
        signal = np.exp(self._theta[-2]) * np.exp(-0.5 * apart)
        kernel: Floats = signal + WEIGHTS * self._linear @ linear.T + 1.0
        return kernel

    def _noisy(self) -> Floats:
        noise = np.exp(self._theta[-1]) + _JITTER
        noisy: Floats = self._kernel(self._rows, self._linear) + noise * np.eye(len(self._rows))
        return noisy

    def _loss(self, theta: Floats, y: Floats) -> float:
        """Minus the logarithm of likelihood and prior, without constants."""
        self._theta = theta
        try:
            root = np.linalg.cholesky(self._noisy())
        except np.linalg.LinAlgError:
            return 1e10
        fitted = solve_triangular(root, y, lower=True)
        away = (theta - self._prior) / self._prior_sd
        return float(0.5 * (fitted @ fitted + away @ away) + np.log(np.diag(root)).sum())
