"""Searchers on a table: ask for one row, look it up, tell its objectives, and repeat.

The first objective, such as the error, is the expensive one: a searcher learns it row by row. It
knows the other objectives, such as the latency, and the budget beforehand, as in a search whose
latencies are predicted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from nas.bench.scores import Judge, Score
from nas.bench.table import Table
from nas.errors import InfeasibleError, SettingsError
from nas.progress import Advance
from nas.search.brief import Brief
from nas.search.protocol import Bools, Codes, Constraints, Floats, KnownObjectives, Searcher
from nas.search.searchers.registry import make_searcher, usable


@dataclass(frozen=True)
class Task:
    """A table to search, with or without a budget.

    Args:
        table: The rows.
        budget: The largest allowed value of the first minimised column after the first
            objective, in the column's unit.

    Raises:
        SettingsError: there is no such column.
        InfeasibleError: no row is within the budget.
    """

    table: Table
    budget: float | None = None

    def __post_init__(self) -> None:
        if self.budget is not None and not self.feasible.any():
            column = self.table.columns[self._limited]
            raise InfeasibleError(
                f"No row of the table has a {column.name} of {self.budget:g} or less: the least "
                f"is {column.values.min():g}. Raise --budget."
            )

    def brief(self, seed: int, *, evaluations: int | None = None) -> Brief:
        """The task as a searcher gets it; foreign tools may repeat codes."""
        return Brief(
            self.table,
            seed,
            constraints=self.constraints,
            known_objectives=self.known_objectives,
            evaluations=evaluations,
            may_repeat=True,
        )

    @property
    def feasible(self) -> Bools:
        """Which rows are within the budget: (rows,)."""
        if self.budget is None:
            return np.ones(self.table.size(), dtype=bool)
        within: Bools = self.table.columns[self._limited].values <= self.budget
        return within

    @property
    def constraints(self) -> Constraints | None:
        """The budget as a searcher takes it; None without one."""
        return None if self.budget is None else self._excess

    @property
    def known_objectives(self) -> KnownObjectives:
        """Every objective but the first: (n, m-1)."""
        return lambda codes: self.table.objectives[self.table.rows(codes), 1:]

    @property
    def _limited(self) -> int:
        """Which objective the budget limits."""
        for i, column in enumerate(self.table.columns):
            if i > 0 and not column.maximize:
                return i
        raise SettingsError(
            "--budget limits the first --minimize column after the first objective, but there is "
            "none: the objectives are "
            + ", ".join(column.name for column in self.table.columns)
            + ", and the first of them is what is evaluated."
        )

    def _excess(self, codes: Codes) -> Floats:
        """How far codes exceed the budget: (n, 1)."""
        assert self.budget is not None
        over = self.table.objectives[self.table.rows(codes), self._limited] - self.budget
        excess: Floats = (over / (abs(self.budget) or 1.0))[:, None]
        return excess


@dataclass(frozen=True)
class Run:
    """One search."""

    seed: int
    rows: list[int]
    """The evaluated rows, in order."""
    seconds: float
    """Time that the searcher itself took."""


@dataclass(frozen=True)
class Result:
    """One searcher's scores from every seed."""

    searcher: str
    evaluations: int
    runs: tuple[Run, ...]
    scores: tuple[Score, ...]

    def to_dict(self) -> dict[str, Any]:
        """Means over the seeds; duplicates and infeasible evaluations are summed."""

        def mean(name: str) -> float:
            return float(np.mean([getattr(score, name) for score in self.scores]))

        shares = [score.hypervolume_share for score in self.scores]
        evaluated = sum(len(run.rows) for run in self.runs)
        return {
            "searcher": self.searcher,
            "evaluations": self.evaluations,
            "seeds": len(self.runs),
            "hypervolume_share": mean("hypervolume_share"),
            "hypervolume_share_std": float(np.std(shares)),
            "area": mean("area"),
            "regret": mean("regret"),
            "duplicates": sum(score.duplicates for score in self.scores),
            "infeasible": sum(score.infeasible for score in self.scores),
            "evaluated": evaluated,
            "seconds_per_evaluation": sum(run.seconds for run in self.runs) / max(evaluated, 1),
        }


Each = Callable[[Callable[[int], Run], Sequence[int]], Iterable[Run]]
"""As `map`: a function and what to call it with."""


def bench(
    task: Task,
    searcher: str,
    *,
    evaluations: int,
    seeds: Sequence[int],
    progress: Advance | None = None,
    each: Each = map,
) -> Result:
    """Run a searcher from each seed and score it.

    Args:
        task: The table and its budget.
        searcher: One of `SEARCHERS`.
        evaluations: Number of evaluations of each run; fewer when it has seen every row.
        seeds: One run for each.
        progress: Called with the number of runs done.
        each: Runs a function for each seed, here or elsewhere, and gives the results in order.
    """
    judge = Judge(task.table, task.feasible)
    runs: list[Run] = []
    for found in each(partial(run, task, searcher, evaluations), seeds):
        runs.append(found)
        done = len(runs)
        if progress is not None:
            progress(done, "")
    scores = tuple(judge.score(found.rows, evaluations) for found in runs)
    return Result(searcher, evaluations, tuple(runs), scores)


def run(task: Task, searcher: str, evaluations: int, seed: int) -> Run:
    """One search from one seed."""
    start = time.perf_counter()
    algorithm = make_searcher(searcher, task.brief(seed, evaluations=evaluations))
    making = time.perf_counter() - start
    rows, seconds = follow(task.table, algorithm, evaluations)
    return Run(seed, rows, making + seconds)


def follow(table: Table, searcher: Searcher, evaluations: int) -> tuple[list[int], float]:
    """The rows that a searcher evaluates in order, and the seconds that it took to choose them."""
    rows: list[int] = []
    seconds = 0.0
    while len(rows) < evaluations:
        start = time.perf_counter()
        codes = searcher.ask(1)
        seconds += time.perf_counter() - start
        if not len(codes):
            break
        found = table.rows(codes)
        rows.append(int(found[0]))
        start = time.perf_counter()
        searcher.tell(codes, table.objectives[found])
        seconds += time.perf_counter() - start
    return rows, seconds


def check(searcher: str) -> None:
    """Raise an error unless a searcher is known, installed and fit for tables.

    Raises:
        UnknownNameError: there is no such searcher.
        MissingExtraError: its package is not installed.
        SettingsError: it learns from a supernet, which a table does not have.
    """
    if usable(searcher).needs != "evaluations":
        raise SettingsError(
            f"The searcher '{searcher}' learns from gradients of a supernet, which a table does "
            "not have. Try it with `nas search`."
        )
