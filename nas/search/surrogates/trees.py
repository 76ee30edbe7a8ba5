"""Extremely randomised trees: an ensemble whose members disagree where little is known.

Paper: Geurts et al. 2006, https://doi.org/10.1007/s10994-006-6226-1 (by scikit-learn); as a
surrogate of architectures, White et al. 2021, https://arxiv.org/abs/2104.01177
"""

from __future__ import annotations

import numpy as np

from nas.search.protocol import Floats

_TREES = 64


class TreeEnsemble:
    """See the module.

    Args:
        rng: What the trees are drawn with.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def fit(self, features: Floats, targets: Floats) -> None:
        """Learn from all that was told: features (n, f), targets (n,), n >= 2."""
        from sklearn.ensemble import ExtraTreesRegressor

        self._forest = ExtraTreesRegressor(
            n_estimators=_TREES,
            min_samples_leaf=2,
            bootstrap=True,
            random_state=int(self._rng.integers(2**31)),
            n_jobs=1,
        )
        self._forest.fit(np.asarray(features, dtype=np.float32), targets)

    def believe(self, features: Floats) -> None:
        """A mean that is believed changes no mean: nothing to do."""

    def predict(self, features: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the objective, each (p,)."""
        rows = np.asarray(features, dtype=np.float32)
        votes = np.stack([tree.predict(rows) for tree in self._forest.estimators_])
        mean: Floats = votes.mean(axis=0)
        spread: Floats = votes.std(axis=0) + 1e-6
        return mean, spread
