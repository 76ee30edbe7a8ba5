"""The non-dominated set, its hypervolume, and how crowded its members are.

All objectives are minimised. A row with a NaN is a failed evaluation: it is on no front and adds
no volume.

Paper: hypervolume, Fonseca et al. 2006, https://doi.org/10.1109/CEC.2006.1688440 (by moocore);
crowding distance, Deb et al. 2002 (NSGA-II), https://doi.org/10.1109/4235.996017 (Section III-B)
"""

from __future__ import annotations

from typing import Any

import moocore
import numpy as np
from numpy.typing import NDArray

from nas.search.protocol import Bools, Floats


def non_dominated(objectives: Floats) -> Bools:
    """Which rows no other row dominates: (n,). Of equal rows, all are kept."""
    objectives = np.asarray(objectives, dtype=float)
    mask: Bools = np.logical_not(np.isnan(objectives).any(axis=1))
    if mask.any():
        mask[mask] = moocore.is_nondominated(objectives[mask], keep_weakly=True)
    return mask


def ranks(objectives: Floats) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Front number of each row, 0 for the non-dominated: (n,). Rows with a NaN come last."""
    objectives = np.asarray(objectives, dtype=float)
    result = np.full(len(objectives), np.iinfo(np.int64).max)
    good = ~np.isnan(objectives).any(axis=1)
    if good.any():
        result[good] = moocore.pareto_rank(objectives[good])
    return result


def hypervolume(points: Floats, reference: Floats) -> float:
    """The volume that `points` (n, m) dominate up to `reference` (m,)."""
    points = np.asarray(points, dtype=float)
    reference = np.asarray(reference, dtype=float)
    points = points[(points < reference).all(axis=1)]
    return float(moocore.hypervolume(points, ref=reference)) if len(points) else 0.0


def hypervolume_curve(objectives: Floats, reference: Floats) -> Floats:
    """Hypervolume after 1, 2, ... n evaluations: (n,), never falling."""
    objectives = np.asarray(objectives, dtype=float)
    curve = np.zeros(len(objectives))
    front = np.empty((0, objectives.shape[1]))
    volume = 0.0
    for i, row in enumerate(objectives):
        dominated = (front <= row).all(axis=1).any()
        if not np.isnan(row).any() and not dominated:
            front = np.concatenate([front[~(row <= front).all(axis=1)], row[None]])
            volume = hypervolume(front, reference)
        curve[i] = volume
    return curve


def crowding(objectives: Floats, fronts: NDArray[np.integer[Any]] | None = None) -> Floats:
    """Distance between each row's neighbours, summed over objectives: (n,); inf for extremes.

    Args:
        objectives: (n, m), finite.
        fronts: The front of each row, (n,); neighbours are then rows of the same front.
    """
    objectives = np.asarray(objectives, dtype=float)
    if fronts is None:
        fronts = np.zeros(len(objectives), dtype=np.int64)
    distance = np.zeros(len(objectives))
    if not len(objectives):
        return distance
    for column in objectives.T:
        order = np.lexsort((column, fronts))
        values, front = column[order], fronts[order]
        new = np.flatnonzero(np.diff(front, prepend=-1))  # where each front begins
        last = np.append(new[1:], len(values)) - 1
        which = np.cumsum(np.diff(front, prepend=-1) != 0) - 1
        span = (values[last] - values[new])[which]
        gap = np.zeros(len(values))
        gap[1:-1] = values[2:] - values[:-2]
        share = np.divide(gap, span, out=np.zeros(len(values)), where=span > 0)
        share[new] = share[last] = np.inf
        distance[order] += share
    return distance
