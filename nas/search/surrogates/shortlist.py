"""Candidates with a surrogate's predictions, and the choice among them.

    gain of the front       expected gain in hypervolume
    gain of a budget set    expected gain over the best error known within the budget set

A chosen candidate counts as evaluated from then on, with its predicted error. So candidates that
are chosen one after the other spread out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from nas.search.protocol import Bools, Codes, Floats
from nas.search.surrogates.acquisition import Belief, best_gain, hypervolume_gain


@dataclass(frozen=True)
class Known:
    """Objectives of the evaluated codes, and predicted ones of the codes being evaluated."""

    objectives: Floats
    """(n, m)"""
    within: Bools
    """Which budget sets each code is within, (n, sets)."""

    def with_one(self, objectives: Floats, within: Bools) -> Known:
        """The known rows and one more, (m,) and (sets,)."""
        return Known(
            np.concatenate([self.objectives, objectives[None]]),
            np.concatenate([self.within, within[None]]),
        )


class Shortlist:
    """See the module.

    Args:
        codes: The candidates, (p, genes).
        belief: Their errors.
        others: Their other objectives, (p, m-1).
        within: Which budget sets each of them is within, (p, sets).
        known: The objectives that gains are counted over.
        reference: The point (m,) up to which hypervolume counts.
    """

    def __init__(
        self,
        codes: Codes,
        belief: Belief,
        others: Floats,
        within: Bools,
        known: Known,
        reference: Floats,
    ) -> None:
        self._codes, self._belief, self._others, self._within = codes, belief, others, within
        self._known, self._reference = known, reference
        self.taken = 0
        """Number of chosen candidates."""

    def __len__(self) -> int:
        """Number of candidates left."""
        return len(self._codes)

    @property
    def budget_sets(self) -> int:
        """Number of budget sets."""
        return int(self._within.shape[1])

    def pop(self, budget_set: int | None) -> Codes:
        """The candidate with the largest expected gain: (1, genes).

        Args:
            budget_set: The budget set to improve; None for the whole front.
        """
        gains: Floats = np.zeros(len(self))
        if budget_set is not None:
            errors, within = self._known.objectives[:, 0], self._known.within[:, budget_set]
            gains = best_gain(errors, within, self._belief, self._within[:, budget_set])
        if not gains.any():
            known = self._known.objectives
            gains = hypervolume_gain(known, self._belief, self._others, self._reference)
        return self._take(int(np.argmax(gains)))

    def _take(self, row: int) -> Codes:
        """Remove a candidate; it counts as known from now."""
        code = self._codes[row : row + 1]
        expected = np.append(self._belief.median[row], self._others[row])
        self._known = self._known.with_one(expected, self._within[row])
        self._codes = np.delete(self._codes, row, axis=0)
        self._others = np.delete(self._others, row, axis=0)
        self._within = np.delete(self._within, row, axis=0)
        self._belief = replace(
            self._belief,
            mean=np.delete(self._belief.mean, row),
            std=np.delete(self._belief.std, row),
        )
        self.taken += 1
        return code
