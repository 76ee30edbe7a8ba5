"""Children of a space at an asked cost, for samplers that look at it.

Costs are compared by logarithms, because a space's children may differ a hundredfold.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from search_spaces.space import SearchSpace
from supernet.method import Setup

Codes = NDArray[np.int16]
CANDIDATES = 32
"""Codes drawn for one child; as many again are crossed with the largest and the smallest code."""


class CostScale:
    """Costs of a space on a scale from 0, the smallest architecture, to 1, the largest one.

    Args:
        space: The space.
        macs: Multiply-accumulates of codes (n, genes): (n,).
    """

    def __init__(
        self, space: SearchSpace, macs: Callable[[NDArray[np.integer]], NDArray[np.float64]]
    ) -> None:
        self.space, self._macs = space, macs
        self._ends = np.stack([space.smallest(), space.largest()])
        self._low, self._high = np.log1p(macs(self._ends))

    @classmethod
    def of(cls, setup: Setup) -> CostScale:
        """The scale of a supernet's space."""
        return cls(setup.supernet.space, setup.macs)

    def place(self, codes: NDArray[np.integer]) -> NDArray[np.float64]:
        """Where codes (n, genes) lie on the scale: (n,)."""
        span = max(self._high - self._low, 1e-9)  # 0 in a space of one cost
        wide: NDArray[np.float64] = (np.log1p(self._macs(codes)) - self._low) / span
        return wide

    def near(self, place: float, rng: np.random.Generator) -> Codes:
        """A random code with about the cost of that place, (genes,).

        Few codes of a plain draw lie near the ends of the scale. So some candidates are crossed
        with the smallest and the largest code.
        """
        drawn = self.space.sample(2 * CANDIDATES, rng)
        ends = np.repeat(self._ends, CANDIDATES // 2, axis=0)
        drawn[CANDIDATES:] = self.space.crossover(drawn[CANDIDATES:], ends, rng)
        chosen: Codes = drawn[np.abs(self.place(drawn) - place).argmin()]
        return chosen
