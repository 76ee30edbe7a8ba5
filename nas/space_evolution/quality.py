"""The E-T error of each value of a dimension, at equal cost, and how far it can be trusted.

    r_i = mean e * e_i / f(log c_i)     error at equal cost: f is the best fit that never rises
    E_v = mean of r over the places that hold value v                     expected error
    T_v = mean of r over the best tenth of those places                   top-tier error
    Q_v = (E_v + T_v) / 2                                                 E-T error
    w   = slope of the line through Q_v over the values in order

Without f a larger value would almost always look better, because it may cost more. r is a ratio
because errors spread in proportion to the usual error at their cost. Standard errors come from a
bootstrap over architectures.

    e (n,) error        c (n,) latency or multiply-adds      r (n,) error at equal cost
    counts (n, values)  places of architecture i that hold v

Paper: Searching the Search Space of Vision Transformer, Chen et al. 2021,
https://arxiv.org/abs/2111.14725 (E-T error, and the linear fit that decides; there without f,
under a limit on parameters)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.isotonic import IsotonicRegression

from nas.search.protocol import Floats

TOP = 0.1
"""Share of the places that hold a value which count as its top tier."""
REPLICATES = 400
NEIGHBOURS = 20
"""Architectures of similar cost that say together what error is usual there."""


@dataclass(frozen=True)
class Quality:
    """What was seen of the values of one dimension, each (values,); NaN for one never sampled."""

    held: Floats
    """Architectures that hold it somewhere."""
    expected: Floats
    top_tier: Floats
    error: Floats
    """The E-T error."""
    replicates: Floats
    """E-T errors of the bootstrap, (replicates, values)."""

    def slope(self) -> tuple[float, float]:
        """Rise of the E-T error from one value to the next, and its standard error."""
        return _with_error(_slopes(self.error[None])[0], _slopes(self.replicates))

    def excess(self, value: int) -> tuple[float, float]:
        """How far a value is above the mean of the others, and its standard error."""
        return _with_error(
            _excesses(self.error[None], value)[0], _excesses(self.replicates, value)
        )


def at_equal_cost(errors: Floats, costs: Floats) -> Floats:
    """Errors (n,) divided by the usual error at their cost (n,), times the mean error.

    The usual error is fitted to means over neighbours in cost; otherwise the most expensive
    architectures would be compared with little but themselves.
    """
    logs = np.log(costs)
    groups = np.array_split(np.argsort(logs, kind="stable"), max(1, len(logs) // NEIGHBOURS))
    means = np.array([[logs[group].mean(), errors[group].mean()] for group in groups])
    fit = IsotonicRegression(increasing=False, out_of_bounds="clip").fit(means[:, 0], means[:, 1])
    usual = fit.predict(logs)
    share = np.divide(errors, usual, where=usual > 0, out=np.ones_like(errors))
    level: Floats = errors.mean() * share
    return level


def overall(errors: Floats) -> tuple[float, float]:
    """Expected and top-tier error of a whole space, from errors (n,)."""
    quality = quality_of(np.ones((len(errors), 1)), errors, np.random.default_rng(0), 1)
    return float(quality.expected[0]), float(quality.top_tier[0])


def quality_of(
    counts: Floats, errors: Floats, rng: np.random.Generator, replicates: int = REPLICATES
) -> Quality:
    """E-T errors of one dimension.

    Args:
        counts: Places of each architecture that hold each value, (n, values).
        errors: At equal cost, (n,).
    """
    order = np.argsort(errors, kind="stable")
    counts, errors = counts[order], errors[order]
    even = np.full(len(errors), 1 / len(errors))
    drawn = rng.multinomial(len(errors), even, size=replicates).astype(float)
    once = np.ones((1, len(errors)))
    expected, top = _expected_and_top(once, counts, errors)
    again = _expected_and_top(drawn, counts, errors)
    return Quality(
        held=(counts > 0).sum(axis=0).astype(float),
        expected=expected[0],
        top_tier=top[0],
        error=(expected[0] + top[0]) / 2,
        replicates=(again[0] + again[1]) / 2,
    )


def _expected_and_top(times: Floats, counts: Floats, errors: Floats) -> tuple[Floats, Floats]:
    """Both errors, (replicates, values), with architectures taken `times` (replicates, n)."""
    weights = times[:, :, None] * counts  # (replicates, n, values), best architectures first
    total = weights.sum(axis=1)
    before = np.cumsum(weights, axis=1) - weights
    best = np.clip(TOP * total[:, None] - before, 0.0, weights)
    with np.errstate(invalid="ignore"):  # a value that nothing holds has no errors: NaN
        expected = np.einsum("bnv,n->bv", weights, errors) / total
        top = np.einsum("bnv,n->bv", best, errors) / best.sum(axis=1)
    return expected, top


def _slopes(error: Floats) -> Floats:
    """Least-squares slopes over the rank of the values, (replicates,); NaN with a NaN."""
    ranks = np.arange(error.shape[1]) - (error.shape[1] - 1) / 2
    slopes: Floats = error @ ranks / (ranks @ ranks)
    return slopes


def _excesses(error: Floats, value: int) -> Floats:
    found: Floats = error[:, value] - np.delete(error, value, axis=1).mean(axis=1)
    return found


def _with_error(found: float, replicates: Floats) -> tuple[float, float]:
    known = replicates[np.isfinite(replicates)]
    return float(found), float(known.std()) if len(known) > 1 else float("nan")
