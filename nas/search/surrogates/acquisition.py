"""Acquisition: the expected improvement of a candidate over the known codes.

The first objective, the error, is assumed to be normally distributed. If all errors are positive,
its logarithm is, because halving a small error is as likely as halving a large one.
The expected improvement over a best error h is

    normal       EI(h) = s (u Phi(u) + phi(u)),                              u = (h - mu) / s  (1)
    log-normal   EI(h) = h Phi(u) - exp(mu + s^2/2) Phi(u - s),          u = (log h - mu) / s  (2)

If the latency is known, the expected gain in hypervolume is exact: between two neighbours of the
front the best error so far is a constant h, so

    gain(x) = sum over strips of  width(strip right of latency(x)) * EI(h)                     (3)

Papers: expected improvement, Jones et al. 1998, https://doi.org/10.1023/A:1008306431147; of the
hypervolume, Emmerich et al. 2011, https://doi.org/10.1109/CEC.2011.5949880 (Section III)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from nas.search.front import hypervolume, non_dominated
from nas.search.protocol import Bools, Floats

_SHORTLIST = 64
_LEAST = 1e-3
"""Errors below this share of the largest count as this share: the logarithm of an error near 0
would outweigh all others."""


@dataclass(frozen=True)
class Belief:
    """The predicted distribution of the candidates' errors."""

    mean: Floats
    """Mean of the error or its logarithm, (p,)."""
    std: Floats
    """(p,), positive"""
    log: bool
    """Whether both are of the logarithm."""

    @property
    def median(self) -> Floats:
        """Median of the errors: (p,)."""
        return np.exp(self.mean) if self.log else self.mean

    @property
    def optimistic(self) -> Floats:
        """The error one standard deviation below the median: (p,)."""
        return np.exp(self.mean - self.std) if self.log else self.mean - self.std

    def improvement(self, best: Floats) -> Floats:
        """Expected gain of each candidate over each best error: (p,) and (h,) to (p, h)."""
        mean, std = self.mean[:, None], self.std[:, None]
        if self.log:
            u = (np.log(best) - mean) / std
            gains = best * ndtr(u) - np.exp(mean + 0.5 * std * std) * ndtr(u - std)
            positive: Floats = np.maximum(gains, 0.0)
            return positive
        u = (best - mean) / std
        result: Floats = std * (u * ndtr(u) + np.exp(-0.5 * u * u) / np.sqrt(2 * np.pi))
        return result


def logarithms(errors: Floats) -> tuple[Floats, bool]:
    """Errors as a surrogate learns them, (n,), and whether these are logarithms.

    They are logarithms unless an error is negative.
    """
    if errors.min() < 0:
        return errors, False
    least = _LEAST * float(errors.max()) or 1.0
    return np.log(np.maximum(errors, least)), True


def hypervolume_gain(known: Floats, belief: Belief, others: Floats, reference: Floats) -> Floats:
    """Expected gain in hypervolume of each candidate: (p,).

    Args:
        known: Objectives of the codes that were or are being evaluated, (n, m), n >= 1.
        belief: The first objective of the candidates.
        others: Their other objectives, taken as certain, (p, m-1).
        reference: The point (m,) up to which volume counts.
    """
    if known.shape[1] == 1:
        return belief.improvement(known.min(axis=0))[:, 0]
    if known.shape[1] == 2:
        return _gain_in_two(known, belief, others[:, 0], reference)
    return _gain_in_many(known, belief, others, reference)


def best_gain(errors: Floats, within: Bools, belief: Belief, allowed: Bools) -> Floats:
    """Expected gain over the least known error within a budget: (p,), 0 for candidates outside.

    Args:
        errors: The known errors, (n,), n >= 1.
        within: Which of these are within the budget, (n,); if none is, the largest error counts
            as the best so far.
        belief: The errors of the candidates.
        allowed: Which candidates are within the budget, (p,).
    """
    best = errors[within].min(initial=errors.max())
    gains: Floats = np.where(allowed, belief.improvement(np.array([best]))[:, 0], 0.0)
    return gains


def _gain_in_two(known: Floats, belief: Belief, second: Floats, reference: Floats) -> Floats:
    """Equation (3)."""
    order = np.lexsort((known[:, 0], known[:, 1]))
    heights = np.minimum(np.minimum.accumulate(known[order, 0]), reference[0])
    heights = np.concatenate([[reference[0]], heights])
    left = np.concatenate([[-np.inf], known[order, 1]])
    steps = np.append(True, heights[1:] < heights[:-1])  # where the best error changes
    heights, left = heights[steps], left[steps]
    right = np.minimum(np.append(left[1:], np.inf), reference[1])
    widths = np.maximum(right - np.maximum(left, second[:, None]), 0.0)  # (p, strips)
    gains: Floats = (widths * belief.improvement(heights)).sum(axis=1)
    return gains


def _gain_in_many(known: Floats, belief: Belief, others: Floats, reference: Floats) -> Floats:
    """Gain of the optimistic points of the candidates likeliest to be on the front."""
    points = np.concatenate([belief.optimistic[:, None], others], axis=1)
    front = known[non_dominated(known)]
    reach = np.maximum(points[:, None, :] - front, 0.0).max(axis=2).min(axis=1)
    gains = np.zeros(len(points))
    volume = hypervolume(front, reference)
    for i in np.argsort(-reach, kind="stable")[:_SHORTLIST]:
        gains[i] = hypervolume(np.concatenate([front, points[i : i + 1]]), reference) - volume
    return gains
