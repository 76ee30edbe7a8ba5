"""The objectives that a search minimises, and the budgets that it keeps.

    objectives   accuracy up (as error down), latency on each target down    told to the searcher
    budgets      latencies, MACs, parameters, memory         constraints, known beforehand

A latency is within a limit when the upper end of its predicted interval is. A budget set is one
latency limit per target, all to be kept at once. A search has one or several budget sets:

    --budget 2ms,5ms                                         two sets: 2 ms; 5 ms
    --target a100 --budget 5ms --target cpu --budget 40ms    one set: 5 ms on a100, 40 ms on cpu

An architecture is feasible if it is within at least one budget set and within every limit on a
counted cost (MACs, parameters, memory).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nas.errors import BudgetError
from nas.search.protocol import Codes, Floats
from nas.units import format_ms

Limits = tuple[float | None, ...]
"""A budget set: one latency limit in ms per target; None is no limit."""


@dataclass(frozen=True)
class Measures:
    """Predicted latencies and counted costs of n architectures, known without evaluating them.

    Latencies are (n, targets), counted costs (n,).
    """

    latency_ms: Floats
    low_ms: Floats
    high_ms: Floats
    macs: Floats
    params: Floats
    memory_mib: Floats


MeasuresOf = Callable[[Codes], Measures]
"""Codes (n, genes) to their predicted latencies and counted costs."""


@dataclass(frozen=True)
class Budgets:
    """One or several sets of latency limits, and limits on counted costs that always hold."""

    budget_sets: tuple[Limits, ...] = ((None,),)
    max_macs: float | None = None
    max_params: float | None = None
    max_memory_mib: float | None = None

    def __post_init__(self) -> None:
        """Refuse limits that are not positive numbers.

        Raises:
            BudgetError: a limit is zero, negative, infinite or not a number.
        """
        every = [ms for limits in self.budget_sets for ms in limits if ms is not None]
        for name, limit in (*(("latency_ms", ms) for ms in every), *self.costs().items()):
            if not 0 < limit < float("inf"):
                raise BudgetError(
                    f"A budget has to be a positive number; {name} is {limit:g}. "
                    "Give a larger one, or leave it out for no limit."
                )

    def __bool__(self) -> bool:
        return self.limits_latency or bool(self.costs())

    @property
    def limits_latency(self) -> bool:
        """Whether there is a limit on any latency."""
        return any(limit is not None for limits in self.budget_sets for limit in limits)

    def costs(self) -> dict[str, float]:
        """The limits on counted costs that are set, by name."""
        limits = {
            name: getattr(self, name) for name in ("max_macs", "max_params", "max_memory_mib")
        }
        return {name: limit for name, limit in limits.items() if limit is not None}

    def separate(self) -> list[Budgets]:
        """One `Budgets` for each budget set."""
        return [replace(self, budget_sets=(limits,)) for limits in self.budget_sets]

    def loosest(self, target: int) -> float | None:
        """The largest limit in ms on a target; None if it has none."""
        limits = [limits[target] for limits in self.budget_sets]
        return max((limit for limit in limits if limit is not None), default=None)

    def excess(self, measures: Measures) -> Floats:
        """How far above the limits: value / limit - 1, (n, limits), feasible where all are <= 0.

        The first column is the latencies' excess over the budget set with the least excess. One
        column follows for each limited cost.
        """
        columns = self._cost_excess(measures)
        if self.limits_latency:
            by_set = latency_excess(measures.high_ms, self.budget_sets)
            columns.insert(0, by_set.min(axis=1))
        return np.stack(columns, axis=1) if columns else np.zeros((len(measures.macs), 0))

    def excess_by_set(self, measures: Measures) -> Floats:
        """The largest excess over the limits of each budget set: (n, sets), within where <= 0."""
        found = latency_excess(measures.high_ms, self.budget_sets)
        for column in self._cost_excess(measures):
            found = np.maximum(found, column[:, None])
        return found

    def _cost_excess(self, measures: Measures) -> list[Floats]:
        return [cost(name, measures) / limit - 1.0 for name, limit in self.costs().items()]


def latency_excess(high_ms: Floats, budget_sets: Sequence[Limits]) -> Floats:
    """The largest excess over the latency limits of each budget set: (n, sets), within where <= 0.

    The excess is upper end / limit - 1, of the worst target.

    Args:
        high_ms: Upper ends of predicted intervals, (n, targets).
        budget_sets: Each with one limit per target.
    """
    limits = np.array(budget_sets, dtype=float)  # None becomes NaN
    limits = np.where(np.isnan(limits), np.inf, limits)
    found: Floats = (np.asarray(high_ms)[:, None, :] / limits - 1.0).max(axis=2)
    return found


def cost(name: str, measures: Measures) -> Floats:
    """The counted cost that the limit `name` restricts: (n,)."""
    return {
        "max_macs": measures.macs,
        "max_params": measures.params,
        "max_memory_mib": measures.memory_mib,
    }[name]


def limits_in_words(limits: Sequence[float | None], names: Sequence[str]) -> str:
    """A budget set in words: `5 ms`, or `5 ms on a100 and 40 ms on cpu`."""
    if len(names) == 1 and limits[0] is not None:
        return format_ms(limits[0])
    return " and ".join(
        f"{format_ms(limit)} on {name}"
        for limit, name in zip(limits, names, strict=True)
        if limit is not None
    )
