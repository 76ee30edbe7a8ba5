"""What a search minimises, and the budgets it keeps.

    objectives   accuracy up (as error down), latency down      told to the searcher
    budgets      latency, MACs, parameters, memory              constraints, known beforehand

A latency budget is checked against the upper end of the prediction's interval.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nas.errors import BudgetError, InfeasibleError
from nas.search.candidates import descend
from nas.search.protocol import Codes, CodeSpace, Floats
from nas.units import format_ms

SAMPLES = 20_000
HARDLY = 0.95
"""A budget that leaves more than this share hardly binds."""


@dataclass(frozen=True)
class Measures:
    """What is known of architectures without evaluating them, each (n,)."""

    latency_ms: Floats
    low_ms: Floats
    high_ms: Floats
    macs: Floats
    params: Floats
    memory_mib: Floats


MeasuresOf = Callable[[Codes], Measures]
"""Codes (n, genes) to their predicted latency and counted costs."""


@dataclass(frozen=True)
class Budgets:
    """Limits that hold all at once; None is no limit."""

    latency_ms: float | None = None
    max_macs: float | None = None
    max_params: float | None = None
    max_memory_mib: float | None = None

    def __post_init__(self) -> None:
        """Refuse limits that are no positive numbers.

        Raises:
            BudgetError: a limit is zero, negative, infinite or not a number.
        """
        for name, limit in self.limits().items():
            if not 0 < limit < float("inf"):
                raise BudgetError(
                    f"A budget has to be a positive number; {name} is {limit:g}. "
                    "Give a larger one, or leave it out for no limit."
                )

    def limits(self) -> dict[str, float]:
        """The limits that are set, by name."""
        return {name: limit for name, limit in vars(self).items() if limit is not None}

    def excess(self, measures: Measures) -> Floats:
        """How far above each limit: value / limit - 1, (n, limits set), feasible where <= 0."""
        columns = [_value(name, measures) / limit - 1.0 for name, limit in self.limits().items()]
        return np.stack(columns, axis=1) if columns else np.zeros((len(measures.macs), 0))


@dataclass(frozen=True)
class Feasibility:
    """How much of a space is within the budgets."""

    share: float
    """Of the samples, how many fit all budgets: 0 ... 1."""
    samples: int
    fastest_ms: float
    """The least upper end of a predicted latency that was found."""
    median_ms: float
    """The upper end that half of the samples are within."""
    slowest_ms: float
    """The greatest upper end among the samples."""
    limited: bool = True
    """Whether there is any budget."""

    @property
    def binds(self) -> bool:
        """Whether the budgets exclude anything that was sampled."""
        return self.share < 1.0

    def __str__(self) -> str:
        """One sentence for the user."""
        half = f"{format_ms(self.median_ms)} would leave half of them"
        if not self.limited:
            slowest = format_ms(self.slowest_ms)
            return (
                f"There is no budget. {self.samples:,} sampled architectures are predicted within "
                f"{slowest}; {half}."
            )
        if not self.binds:
            return (
                f"The budget does not bind: every one of {self.samples:,} sampled architectures "
                f"is predicted within it. A latency below {format_ms(self.slowest_ms)} would "
                f"bind; {half}."
            )
        if self.share == 0:
            return (
                f"None of {self.samples:,} sampled architectures is within the budget, "
                "but smaller ones are."
            )
        sampled = f"{self.samples:,} sampled architectures are within the budget"
        if self.share > HARDLY:
            beyond = round((1.0 - self.share) * self.samples)
            return f"The budget hardly binds: all but {beyond:,} of {sampled}; {half}."
        return f"{self.share:.1%} of {sampled}."


def check_feasible(
    space: CodeSpace,
    budgets: Budgets,
    measures: MeasuresOf,
    rng: np.random.Generator,
    *,
    name: str = "the space",
    target: str = "",
    smallest: Codes | None = None,
) -> Feasibility:
    """Whether anything fits the budgets: 20,000 samples, then a descent from the smallest.

    Args:
        space: What is searched.
        budgets: What has to hold.
        measures: Predicted latency and costs of codes.
        rng: Source of randomness.
        name: The space's name, for the message.
        target: The target in words ("cpu (float32, batch 1, 2 threads)"), for the message.
        smallest: Codes (n, genes) to begin the descent with, such as the space's smallest.

    Raises:
        InfeasibleError: nothing fits; says what the fastest found needs.
    """
    sampled = space.sample(SAMPLES, rng)
    known = measures(sampled)
    outside = _outside(budgets, known)
    share = float(np.mean(outside == 0))
    fastest = float(known.high_ms.min())
    if share < 1.0:
        order = np.argsort(outside, kind="stable")[:64]
        start = sampled[order]
        if smallest is not None:
            start = np.concatenate([np.atleast_2d(smallest).astype(start.dtype), start])

        def latency(codes: Codes) -> Floats:
            return measures(codes).high_ms

        fastest = min(fastest, float(latency(descend(space, latency, rng, start)[:1])[0]))
        if share == 0.0:
            best = descend(
                space, lambda codes: _outside(budgets, measures(codes)), rng, start, enough=0.0
            )
            nearest = measures(best[:1])
            if _outside(budgets, nearest)[0] > 0:
                raise InfeasibleError(_refusal(budgets, nearest, fastest, name, target))
    return Feasibility(
        share=share,
        samples=len(sampled),
        fastest_ms=fastest,
        median_ms=float(np.median(known.high_ms)),
        slowest_ms=float(known.high_ms.max()),
        limited=bool(budgets.limits()),
    )


_NAMES = {
    "latency_ms": ("a latency of {:.3g} ms", "--budget"),
    "max_macs": ("{:,.0f} MACs", "--max-macs"),
    "max_params": ("{:,.0f} parameters", "--max-params"),
    "max_memory_mib": ("{:.3g} MiB of activations", "--max-memory"),
}


def _value(name: str, measures: Measures) -> Floats:
    """What a limit is compared with."""
    values = {
        "latency_ms": measures.high_ms,
        "max_macs": measures.macs,
        "max_params": measures.params,
        "max_memory_mib": measures.memory_mib,
    }
    return values[name]


def _outside(budgets: Budgets, measures: Measures) -> Floats:
    """Summed relative excess over all limits: (n,), 0 where feasible."""
    total: Floats = np.maximum(budgets.excess(measures), 0.0).sum(axis=1)
    return total


def _refusal(
    budgets: Budgets, nearest: Measures, fastest_ms: float, name: str, target: str
) -> str:
    limits = budgets.limits()
    on = f" on {target}" if target else ""
    advice = ", or choose a smaller space (`nas spaces`)."
    if list(limits) == ["latency_ms"]:
        return (
            f"No architecture of '{name}' runs within {limits['latency_ms']:.3g} ms{on}:\n"
            f"the fastest of {SAMPLES:,} is predicted to take up to {fastest_ms:.3g} ms. "
            f"Raise --budget{advice}"
        )
    asked = " and ".join(_NAMES[limit][0].format(limits[limit]) for limit in limits)
    broken = [limit for limit in limits if _value(limit, nearest)[0] > limits[limit]]
    found = " and ".join(_NAMES[limit][0].format(_value(limit, nearest)[0]) for limit in limits)
    options = " or ".join(_NAMES[limit][1] for limit in broken)
    return (
        f"No architecture of '{name}' keeps within {asked}{on}:\n"
        f"the nearest of {SAMPLES:,} needs {found}. Raise {options}{advice}"
    )
