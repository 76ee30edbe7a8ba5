"""The cost of codes as one number, and codes that are spread evenly over it."""

from __future__ import annotations

import numpy as np

from nas.search.brief import Brief
from nas.search.protocol import Codes, Floats

_SAMPLES = 2048


class Cost:
    """The cost of a code as one number: the mean of standardised columns.

    The columns are the known objectives; without them, the constraints; without these too, the sum
    of the features, which grows with the size of the choices. Each column is scaled to mean 0 and
    standard deviation 1 over samples of the space.
    """

    def __init__(self, brief: Brief, rng: np.random.Generator) -> None:
        self._brief = brief
        self.samples = brief.space.sample(_SAMPLES, rng)
        columns = self._columns(self.samples)
        finite = np.where(np.isfinite(columns), columns, np.nan)
        self._center = np.nanmean(finite, axis=0)
        self._scale = np.nanstd(finite, axis=0) + 1e-12

    def __call__(self, codes: Codes) -> Floats:
        """The cost of codes (n, genes): (n,)."""
        if not len(codes):
            return np.zeros(0)
        values = ((self._columns(codes) - self._center) / self._scale).mean(axis=1)
        costs: Floats = np.nan_to_num(values, nan=np.inf)
        return costs

    def _columns(self, codes: Codes) -> Floats:
        for known in (self._brief.known_objectives, self._brief.constraints):
            if known is not None:
                columns = np.asarray(known(codes), dtype=float).reshape(len(codes), -1)
                if columns.shape[1]:
                    return columns
        sizes: Floats = np.asarray(self._brief.space.features(codes)).sum(axis=1)
        return sizes[:, None]


def evenly(codes: Codes, costs: Floats, n: int) -> Codes:
    """At most `n` different codes with evenly spread costs, in order of cost: (<= n, genes).

    Args:
        codes: (k, genes), k >= 0.
        costs: Cost of each, (k,).
        n: Number of codes to choose.
    """
    _, first = np.unique(codes, axis=0, return_index=True)
    order = first[np.argsort(costs[first], kind="stable")]
    if len(order) <= n:
        return codes[order]
    wanted = np.linspace(costs[order[0]], costs[order[-1]], n)
    nearest = np.abs(costs[order][None] - wanted[:, None]).argmin(axis=1)
    chosen: Codes = codes[order[np.unique(nearest)]]
    return chosen
