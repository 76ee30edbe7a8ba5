"""Which networks to train alone, of those that the supernet has evaluated.

    spread      from each band of score one, each in another band of cost (a Latin hypercube)
    promising   those that may be the best within a budget, and the least known of those that may
                be on the front

`scripts/verify_on_table.py` compares corrections from networks chosen by `spread` with corrections
from random ones.

Paper: Latin hypercube, McKay et al. 1979, https://doi.org/10.1080/00401706.1979.10489755
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nas.search.front import non_dominated
from nas.search.protocol import Bools, Floats

OPTIMISM = 1.0
"""Standard deviations by which a network may be better than expected."""

Rows = NDArray[np.int64]


def spread(score: Floats, cost: Floats, n: int, rng: np.random.Generator) -> Rows:
    """At most `n` networks from all over the range of the score, each of another cost.

    Args:
        score: What the supernet says, (m,).
        cost: Such as multiply-adds, (m,).
        n: How many.
        rng: Pairs bands of score with bands of cost.
    """
    n = min(n, len(score))
    if not n:
        return np.zeros(0, dtype=np.int64)
    places = np.argsort(np.argsort(cost, kind="stable"), kind="stable") / len(cost)
    bands = np.array_split(np.argsort(score, kind="stable"), n)
    wanted = (rng.permutation(n) + 0.5) / n
    near = [
        band[np.argmin(np.abs(places[band] - place))]
        for band, place in zip(bands, wanted, strict=True)
    ]
    return np.array(near, dtype=np.int64)


def along(front: Sequence[int], n: int) -> Rows:
    """At most `n` rows of a front at even steps, its ends included."""
    rows: Rows = np.array(front, dtype=np.int64)
    if len(rows) > n:
        rows = rows[np.linspace(0, len(rows) - 1, n).round().astype(int)]
    return rows


def promising(
    mean: Floats, std: Floats, latency: Floats, within: Bools, n: int, taken: Sequence[int]
) -> Rows:
    """At most `n` further networks that may be the best, or on the front.

    Args:
        mean: Corrected errors, (m,); smaller is better.
        std: Their standard deviations, (m,).
        latency: On each target, (m, targets).
        within: Which networks are within each budget set, (m, sets).
        n: How many.
        taken: Rows that were chosen before; they are not chosen again.
    """
    hopeful = mean - OPTIMISM * std
    left = np.ones(len(mean), dtype=bool)
    left[list(taken)] = False
    chosen: list[int] = []
    while len(chosen) < n and left.any():
        turn, of_front = divmod(len(chosen), 2)
        inside = left & within[:, turn % within.shape[1]]
        if of_front or not inside.any():
            row = _least_known(hopeful, std, latency, left)
        else:
            row = int(np.argmin(np.where(inside, hopeful, np.inf)))
        left[row] = False
        chosen.append(row)
    return np.array(chosen, dtype=np.int64)


def _least_known(hopeful: Floats, std: Floats, latency: Floats, left: Bools) -> int:
    """Of the networks that are left, the least known on the front of what is hoped for."""
    rows = np.flatnonzero(left)
    points = np.column_stack([hopeful[rows], latency[rows]])
    front = rows[non_dominated(points)]
    return int(front[np.argmax(std[front])])
