"""What the supernet says of networks, corrected by some of them that were trained alone.

    e(x) = c + b1 s(x) + b2 depth(x) + b3 log MACs(x) + f(x) + noise

    e   logarithm of the error when trained alone         f   a Gaussian process of the features
    s   logarithm of the error with the shared weights, smoothed over all evaluated networks

Halving a small error is as likely as halving a large one, hence logarithms. A supernet's score of
one network is noisy (few validation images, weights shared with others), and the linear mean would
hand that noise on. So s is what a Gaussian process of the features makes of all scores.

The interval has Student's t for the degrees of freedom that the mean leaves. It is widened by as
much as networks that were left out, a fifth at a time, lie farther from their predictions than
the process expects.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from nas.ranking.process import LinearMeanProcess
from nas.search.protocol import Bools, Floats
from nas.search.surrogates.gaussian_process import GaussianProcess
from nas.settings import FEWEST_VERIFIED

SURE = 0.9
FOLDS = 5
MEAN_WEIGHTS = 4
"""Of the constant, the score, the depth and the MACs."""
FEWEST_TO_SMOOTH = 24
MOST_TO_SMOOTH = 400

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Networks:
    """Networks with what is known of each before any is trained alone."""

    features: Floats
    """Of their canonical codes, (n, f)."""
    groups: Rows
    """The gene that each feature belongs to, (f,)."""
    score: Floats
    """Logarithm of the error with the shared weights, (n,)."""
    depth: Floats
    """Number of blocks, (n,)."""
    macs: Floats
    """Multiply-adds per image, (n,)."""

    @cached_property
    def smoothed(self) -> Floats:
        """The scores as a Gaussian process of the features explains them, (n,)."""
        if len(self.score) < FEWEST_TO_SMOOTH:
            return self.score
        known = np.column_stack([self.features, self.depth, np.log(self.macs)])
        groups = np.append(self.groups, self.groups.max() + np.array([1, 2]))
        every = np.random.default_rng(0).permutation(len(known))
        rows = np.sort(every[:MOST_TO_SMOOTH])
        process = GaussianProcess(groups)
        process.fit(known[rows], self.score[rows])
        return process.predict(known)[0]

    @cached_property
    def described(self) -> tuple[Floats, Rows]:
        """Features and depth, scaled, and their two groups."""
        spread = max(2.0 * float(self.features.var(axis=0).sum()), 1e-12)
        depth = self.depth / max(np.sqrt(2.0) * float(self.depth.std()), 1e-6)
        table = np.column_stack([self.features / np.sqrt(spread), depth])
        return table, np.append(np.zeros(self.features.shape[1], dtype=np.int64), 1)

    @cached_property
    def linear(self) -> Floats:
        """What the mean is linear in: score, depth, log MACs, standardised; (n, 3)."""
        return _standardised(np.stack([self.smoothed, self.depth, np.log(self.macs)], axis=1))


@dataclass(frozen=True)
class Correction:
    """The corrected values of networks; logarithms of their errors when trained alone."""

    mean: Floats
    std: Floats
    """Widened, each (n,)."""
    quantile: float
    """Standard deviations to either end of the 90 % interval."""

    @property
    def low(self) -> Floats:
        """Lower ends, (n,)."""
        return self.mean - self.quantile * self.std

    @property
    def high(self) -> Floats:
        """Upper ends, (n,)."""
        return self.mean + self.quantile * self.std


def correct(networks: Networks, rows: Rows, errors: Floats) -> Correction:
    """Correct all networks by some that were trained alone.

    Args:
        networks: All of them.
        rows: Which were trained alone, (k,), at least `FEWEST_VERIFIED`.
        errors: The logarithms of their errors then, (k,).
    """
    assert len(rows) >= FEWEST_VERIFIED, len(rows)
    table, groups = networks.described
    linear = networks.linear

    def fitted(kept: Bools) -> LinearMeanProcess:
        process = LinearMeanProcess(groups)
        process.fit(table[rows[kept]], linear[rows[kept]], errors[kept])
        return process

    process = fitted(np.ones(len(rows), dtype=bool))
    mean, std = process.predict(table, linear)
    fold, away = np.arange(len(rows)) % FOLDS, np.zeros(len(rows))
    for number in range(FOLDS):
        left = fold == number
        without = fitted(~left)
        seen, sure = without.predict(table[rows[left]], linear[rows[left]])
        away[left] = (errors[left] - seen) / np.hypot(sure, without.noise)
    wider = max(1.0, float(np.sqrt(np.mean(away**2))))
    freedom = max(1, len(rows) - MEAN_WEIGHTS)
    return Correction(mean, std * wider, float(student.ppf(0.5 + SURE / 2, freedom)))


def log_errors(errors: Floats, least: float) -> Floats:
    """Logarithms of errors; those below `least`, such as half an image, count as that."""
    logarithms: Floats = np.log(np.maximum(errors, least))
    return logarithms


def _standardised(columns: Floats) -> Floats:
    scale = columns.std(axis=0)
    standard: Floats = (columns - columns.mean(axis=0)) / np.where(scale > 1e-9, scale, 1.0)
    return standard
