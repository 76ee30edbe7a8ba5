"""How well a score ranks networks as their own accuracies do.

    Kendall's tau    pairs in the same order less pairs in the other, as a share (tau-b, with ties)
    Spearman's rho   correlation of the ranks
    top-5 regret     best of all - best of the five with the highest scores, in the truth's unit
    nDCG             gains of the networks in the score's order, discounted by log2 of the place,
                     as a share of those in the best order; the gain goes from 0, worst, to 1, best

Each with a 90 % interval: the percentiles over bootstraps of the networks. All scores see the same
bootstraps, so that the interval of a difference between two is narrower than theirs suggest.

Papers: tau-b, Kendall 1945, https://doi.org/10.1093/biomet/33.3.239; nDCG, Jarvelin and
Kekalainen 2002, https://doi.org/10.1145/582415.582418; bootstrap, Efron 1979,
https://doi.org/10.1214/aos/1176344552
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import rankdata

from nas.search.protocol import Floats

BOOTSTRAPS = 1000
TOP = 5
FEWEST = 3
"""The smallest number of networks that are ranked."""
_ENDS = (5.0, 95.0)


@dataclass(frozen=True)
class Estimate:
    """A figure with its 90 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Agreement:
    """How well one score ranks."""

    score: str
    tau: Estimate
    spearman: Estimate
    regret: Estimate
    ndcg: Estimate
    behind: Estimate
    """How far its tau is below that of the first score."""

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Agreement:
        """As `to_dict` wrote it."""
        figures = {k: Estimate(**v) for k, v in document.items() if k != "score"}
        return cls(score=document["score"], **figures)


def agreements(
    truth: Floats, scores: Mapping[str, Floats], rng: np.random.Generator
) -> list[Agreement]:
    """How well each score ranks networks; the first is what the others are compared with.

    Args:
        truth: Of the networks when trained alone, more is better, (n,), n >= 3.
        scores: By name; more is better, (n,) each.
        rng: Draws the bootstraps.
    """
    n = len(truth)
    draws = [np.arange(n), *rng.integers(n, size=(BOOTSTRAPS, n))]
    taus = {name: _each(tau, truth, score, draws) for name, score in scores.items()}
    first = next(iter(taus.values()))
    return [
        Agreement(
            name,
            tau=_estimate(taus[name]),
            spearman=_estimate(_each(spearman, truth, score, draws)),
            regret=_estimate(_each(regret, truth, score, draws)),
            ndcg=_estimate(_each(ndcg, truth, score, draws)),
            behind=_estimate(first - taus[name]),
        )
        for name, score in scores.items()
    ]


def tau(truth: Floats, score: Floats) -> float:
    """Kendall's tau-b; 0 where either is constant."""
    # SciPy's gives the same, but takes ten times as long for a few dozen networks.
    first, second = (np.sign(values[:, None] - values) for values in (truth, score))
    pairs = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return float((first * second).sum()) / pairs if pairs else 0.0


def spearman(truth: Floats, score: Floats) -> float:
    """Spearman's rank correlation; 0 where either is constant."""
    first, second = rankdata(truth), rankdata(score)
    if not np.ptp(first) or not np.ptp(second):
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def regret(truth: Floats, score: Floats) -> float:
    """What is lost by training only the five of the highest scores."""
    best = np.argsort(-score, kind="stable")[:TOP]
    return float(truth.max() - truth[best].max())


def ndcg(truth: Floats, score: Floats) -> float:
    """Normalised discounted cumulative gain; 0 where either is constant."""
    gain = truth - truth.min()
    if not gain.any() or not np.ptp(score):
        return 0.0
    discount = 1.0 / np.log2(np.arange(len(gain)) + 2.0)
    ordered = gain[np.argsort(-score, kind="stable")]
    return float(ordered @ discount / (np.sort(gain)[::-1] @ discount))


def _each(
    of: Callable[[Floats, Floats], float],
    truth: Floats,
    score: Floats,
    draws: Sequence[np.ndarray[Any, Any]],
) -> Floats:
    """The figure of all networks, then of each bootstrap: (1 + bootstraps,)."""
    return np.array([of(truth[rows], score[rows]) for rows in draws])


def _estimate(values: Floats) -> Estimate:
    low, high = np.percentile(values[1:], _ENDS)
    return Estimate(float(values[0]), float(low), float(high))
