"""Bagged quadratic kernel ridge: main effects and pairs of features, many times over.

    symbol   shape     meaning
    x        (n, f)    features, each centred, scaled, and divided by sqrt(f)
    z        (n,)      targets, standardised
    K        (n, n)    (p + x x')^2: main effects and all pairs of features
    c_b      (n,)      how often bootstrap b = 1..B drew each row
    a_b      (n,)      (K + l diag(1/c_b))^-1 z on the drawn rows, 0 on the others

    mean = avg_b K(x*, x) a_b,   std = std_b K(x*, x) a_b

Paper: Breiman 1996, Bagging predictors, https://doi.org/10.1007/BF00058655
"""

from __future__ import annotations

import numpy as np

from nas.search.protocol import Floats
from nas.search.threads import one_blas_thread

_BAGS = 16
_OFFSET = 0.3
_RIDGE = 0.05
_LEAST_SCALE = 0.05


class RidgeEnsemble:
    """See the module.

    Args:
        rng: Draws the bootstraps.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def fit(self, features: Floats, targets: Floats) -> None:
        """Learn from all that was told: features (n, f), targets (n,), n >= 2."""
        features = np.asarray(features, dtype=float)
        n, width = features.shape
        self._center = features.mean(axis=0)
        self._scale = np.maximum(features.std(axis=0), _LEAST_SCALE) * np.sqrt(max(width, 1))
        self._mean, self._std = float(targets.mean()), float(targets.std()) + 1e-12
        standard = (targets - self._mean) / self._std
        self._rows = (features - self._center) / self._scale
        self._unit = 1.0
        self._weights = np.zeros((n, _BAGS))
        with one_blas_thread():
            kernel = self._kernel(self._rows)
            self._unit = float(np.mean(np.diag(kernel)))
            kernel /= self._unit
            for bag in range(_BAGS):
                counts = np.bincount(self._rng.integers(n, size=n), minlength=n)
                drawn = np.flatnonzero(counts)
                ridge = np.diag(_RIDGE / counts[drawn])
                self._weights[drawn, bag] = np.linalg.solve(
                    kernel[np.ix_(drawn, drawn)] + ridge, standard[drawn]
                )

    def believe(self, features: Floats) -> None:
        """Nothing to do: values equal to the prediction do not change it."""

    def predict(self, features: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the objective, each (p,)."""
        rows = (np.asarray(features, dtype=float) - self._center) / self._scale
        with one_blas_thread():
            votes = self._kernel(rows) @ self._weights
        mean: Floats = votes.mean(axis=1) * self._std + self._mean
        spread: Floats = votes.std(axis=1) * self._std + 1e-9
        return mean, spread

    def _kernel(self, rows: Floats) -> Floats:
        values: Floats = (_OFFSET + rows @ self._rows.T) ** 2 / self._unit
        return values
