"""Scores of a search on a table, whose exact front is known.

    share   hypervolume of the evaluated rows / hypervolume of all rows
    area    mean share after 1, 2, ... N evaluations
    regret  best first objective evaluated - best in the table, in the column's unit

Under a budget, rows outside it count neither as found nor as the best in the table.

Paper: tabular benchmarks, Ying et al. 2019, https://arxiv.org/abs/1902.09635 (regret, Section 4)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nas.bench.table import Table
from nas.errors import DataError
from nas.search.front import hypervolume, hypervolume_curve
from nas.search.protocol import Bools, Floats


@dataclass(frozen=True)
class Score:
    """What one search achieved."""

    hypervolume_share: float
    area: float
    regret: float
    """The regret of the worst row within the budget if no row within it was found."""
    duplicates: int
    infeasible: int


class Judge:
    """Scores searches of one table.

    Args:
        table: All rows, with their true objectives.
        feasible: Which rows are within the budget, (rows,), at least one.

    Raises:
        DataError: the hypervolume of these rows is 0, so a share of it is undefined.
    """

    def __init__(self, table: Table, feasible: Bools) -> None:
        self._objectives = np.where(feasible[:, None], table.objectives, np.nan)
        self._feasible, self._reference = feasible, table.reference
        self.hypervolume = hypervolume(table.objectives[feasible], table.reference)
        """The hypervolume of all rows within the budget."""
        if self.hypervolume <= 0:
            names = ", ".join(column.name for column in table.columns)
            raise DataError(
                f"Nothing can be scored: in each row within the budget, one of {names} is as bad "
                "as it can be, so the hypervolume of the table is 0. Leave out an objective that "
                "is the same in every row, or raise --budget."
            )
        self.best = float(table.objectives[feasible, 0].min())
        """The least first objective within the budget."""
        self.worst = float(table.objectives[feasible, 0].max())

    def score(self, rows: Sequence[int], evaluations: int) -> Score:
        """The score of the first `evaluations` rows; missing ones add nothing.

        Args:
            rows: The evaluated rows in order, repeats included.
            evaluations: How many were allowed, at least 1.
        """
        kept = np.array(rows[:evaluations], dtype=np.int64)
        shares = self._shares(self._objectives[kept], evaluations)
        feasible = self._feasible[kept]
        found = self._objectives[kept[feasible], 0]
        return Score(
            hypervolume_share=float(shares[-1]),
            area=float(shares.mean()),
            regret=float(found.min() if len(found) else self.worst) - self.best,
            duplicates=len(kept) - len(np.unique(kept)),
            infeasible=int((~feasible).sum()),
        )

    def _shares(self, objectives: Floats, evaluations: int) -> Floats:
        """Share of the hypervolume after 1, 2, ... evaluations: (evaluations,)."""
        curve = hypervolume_curve(objectives, self._reference)
        last = curve[-1] if len(curve) else 0.0
        curve = np.concatenate([curve, np.full(evaluations - len(curve), last)])
        shares: Floats = curve / self.hypervolume
        return shares
