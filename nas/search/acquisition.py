"""How much hypervolume a candidate would probably add to the front.

With the latency known and the error normal with mean mu and deviation s, the expected gain is
exact: between two neighbours of the front the best error so far is a constant h, so

    gain(x) = sum over strips of  width(strip right of latency(x)) * EI(h; mu, s)
    EI(h; mu, s) = s * (u * Phi(u) + phi(u)),   u = (h - mu) / s

Paper: expected hypervolume improvement, Emmerich et al. 2011,
https://doi.org/10.1109/CEC.2011.5949880 (the sum over strips, Section III)
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

from nas.search.front import hypervolume, non_dominated
from nas.search.protocol import Floats

_SHORTLIST = 64


def expected_gain(known: Floats, mean: Floats, std: Floats, reference: Floats) -> Floats:
    """Expected gain in hypervolume of each candidate: (p,).

    Args:
        known: Objectives of what was evaluated or is being evaluated, (n, m), n >= 1.
        mean: Objectives of the candidates, (p, m); all but the first are taken as certain.
        std: Standard deviation of their first objective, (p,).
        reference: The point (m,) up to which volume counts.
    """
    if known.shape[1] == 1:
        return _improvement(known.min(), mean[:, 0], std)
    if known.shape[1] == 2:
        return _gain_in_two(known, mean, std, reference)
    return _gain_in_many(known, mean, std, reference)


def expected_improvement(known: Floats, mean: Floats, std: Floats) -> Floats:
    """Expected gain over the least error so far, whatever the other objectives: (p,).

    Args:
        known: Objectives of what was evaluated or is being evaluated, (n, m), n >= 1.
        mean: Objectives of the candidates, (p, m).
        std: Standard deviation of their first objective, (p,).
    """
    return _improvement(known[:, 0].min(), mean[:, 0], std)


def _improvement(best: Floats | float, mean: Floats, std: Floats) -> Floats:
    """Expected improvement of a normal variable below `best`."""
    u = (best - mean) / std
    result: Floats = std * (u * ndtr(u) + np.exp(-0.5 * u * u) / np.sqrt(2 * np.pi))
    return result


def _gain_in_two(known: Floats, mean: Floats, std: Floats, reference: Floats) -> Floats:
    order = np.lexsort((known[:, 0], known[:, 1]))
    edges = known[order, 1]
    heights = np.minimum(np.minimum.accumulate(known[order, 0]), reference[0])
    left = np.concatenate([[-np.inf], edges])
    right = np.minimum(np.concatenate([edges, [np.inf]]), reference[1])
    heights = np.concatenate([[reference[0]], heights])
    some = right > left
    left, right, heights = left[some], right[some], heights[some]
    widths = np.maximum(right - np.maximum(left, mean[:, 1:]), 0.0)  # (p, strips)
    gains: Floats = (widths * _improvement(heights, mean[:, :1], std[:, None])).sum(axis=1)
    return gains


def _gain_in_many(known: Floats, mean: Floats, std: Floats, reference: Floats) -> Floats:
    """Gain of the optimistic point `mean - std` of the candidates likeliest to be on the front."""
    points = mean.copy()
    points[:, 0] -= std
    front = known[non_dominated(known)]
    reach = np.maximum(points[:, None, :] - front, 0.0).max(axis=2).min(axis=1)
    gains = np.zeros(len(points))
    volume = hypervolume(front, reference)
    for i in np.argsort(-reach, kind="stable")[:_SHORTLIST]:
        gains[i] = hypervolume(np.concatenate([front, points[i : i + 1]]), reference) - volume
    return gains
