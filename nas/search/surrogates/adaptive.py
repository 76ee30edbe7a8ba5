"""A mixture of the surrogates that rank unseen evaluations best, by cross-validation.

At 24 evaluations, and again whenever their number has grown by half, each kind is fitted to two
thirds of them in turn and predicts the remaining third. The kinds whose rank correlation is near
the best one's are used together:

    mean = average of their means,   std^2 = average of (std^2 + mean^2) - mean^2

Each kind alone is overconfident about the candidates that it predicts to be best; the mixture is
uncertain where its members disagree. Before 24 evaluations the first two kinds are used.

Paper: how surrogates of architectures are compared, White et al. 2021,
https://arxiv.org/abs/2104.01177
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy.stats import spearmanr

from nas.search.protocol import Floats
from nas.search.surrogates.protocol import Surrogate

FOLDS = 3
FEWEST = 24
"""The number of evaluations from which on the kinds are compared."""
_AGAIN = 1.5
_NEAR = 0.05
"""Kinds whose rank correlation is this near to the best one's are used too."""

Make: TypeAlias = Callable[[], Surrogate]


@dataclass(frozen=True)
class Unseen:
    """One kind's predictions of evaluations that it was not fitted to."""

    mean: Floats
    std: Floats
    spearman: float
    """Rank correlation of the means with the evaluated values."""


class AdaptiveSurrogate:
    """See the module.

    Args:
        kinds: How to make each kind, by name; the first two are used at the start.
        rng: Draws the folds.
    """

    def __init__(self, kinds: Mapping[str, Make], rng: np.random.Generator) -> None:
        self._kinds, self._rng = kinds, rng
        self._members = {name: kinds[name]() for name in list(kinds)[:2]}
        self._next = FEWEST

    @property
    def names(self) -> tuple[str, ...]:
        """The kinds in use."""
        return tuple(self._members)

    def fit(self, features: Floats, targets: Floats) -> None:
        """Learn from all that was told: features (n, f), targets (n,), n >= 2."""
        if len(targets) >= self._next:
            self._next = int(len(targets) * _AGAIN)
            self._choose(features, targets)
        for member in self._members.values():
            member.fit(features, targets)

    def believe(self, features: Floats) -> None:
        """Count codes that are being evaluated, (p, f), as known, with their predicted values."""
        for member in self._members.values():
            member.believe(features)

    def predict(self, features: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the objective, each (p,)."""
        return mixed([member.predict(features) for member in self._members.values()])

    def _choose(self, features: Floats, targets: Floats) -> None:
        found = cross_validate(self._kinds, features, targets, self._rng)
        best = max(unseen.spearman for unseen in found.values())
        near = [name for name, unseen in found.items() if unseen.spearman >= best - _NEAR]
        self._members = {n: self._members.get(n) or self._kinds[n]() for n in near}


def mixed(predictions: list[tuple[Floats, Floats]]) -> tuple[Floats, Floats]:
    """Mean and deviation of an even mixture of normal variables."""
    means = np.stack([mean for mean, _ in predictions])
    squares = np.stack([std**2 for _, std in predictions]) + (means - means.mean(axis=0)) ** 2
    std: Floats = np.sqrt(squares.mean(axis=0))
    return means.mean(axis=0), std


def cross_validate(
    kinds: Mapping[str, Make], features: Floats, targets: Floats, rng: np.random.Generator
) -> dict[str, Unseen]:
    """Each kind's predictions of each third of the rows, by a fit to the other two.

    Args:
        kinds: How to make each kind, by name.
        features: (n, f), n >= 6.
        targets: (n,)
        rng: Draws the folds.
    """
    fold = rng.permutation(len(targets)) % FOLDS
    found = {}
    for name, make in kinds.items():
        mean, std = np.zeros(len(targets)), np.ones(len(targets))
        for i in range(FOLDS):
            surrogate = make()
            surrogate.fit(features[fold != i], targets[fold != i])
            mean[fold == i], std[fold == i] = surrogate.predict(features[fold == i])
        found[name] = Unseen(mean, std, rank_correlation(mean, targets))
    return found


def rank_correlation(first: Floats, second: Floats) -> float:
    """Spearman's; 0 where either is constant."""
    varied = np.ptp(first) > 0 and np.ptp(second) > 0
    return float(spearmanr(first, second).statistic) if varied else 0.0
