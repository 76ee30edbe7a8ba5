"""What a search minimises, and the budgets it keeps.

    objectives   accuracy up (as error down), latency on each target down    told to the searcher
    budgets      latencies, MACs, parameters, memory         constraints, known beforehand

A latency budget is checked against the upper end of the prediction's interval. A search answers
one question or several, each a limit per target that all hold at once:

    --budget 2ms,5ms                                         within 2 ms?   within 5 ms?
    --target a100 --budget 5ms --target cpu --budget 40ms    within 5 and 40 ms, both at once?

What can answer none of them is infeasible. Limits on counted costs hold in every answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nas.errors import BudgetError, InfeasibleError
from nas.search.asking.candidates import descend
from nas.search.protocol import Codes, CodeSpace, Floats
from nas.units import format_ms

SAMPLES = 20_000
HARDLY = 0.95
"""A budget that leaves more than this share hardly binds."""

Limits = tuple[float | None, ...]
"""One limit in ms per target; None is no limit."""


@dataclass(frozen=True)
class Measures:
    """What is known of n architectures without evaluating them.

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
    """The questions that a search answers, and limits that hold in every answer."""

    budget_sets: tuple[Limits, ...] = ((None,),)
    """The latency limits of each question, one per target."""
    max_macs: float | None = None
    max_params: float | None = None
    max_memory_mib: float | None = None

    def __post_init__(self) -> None:
        """Refuse limits that are no positive numbers.

        Raises:
            BudgetError: a limit is zero, negative, infinite or not a number.
        """
        latencies = [
            ("latency_ms", ms) for answer in self.budget_sets for ms in answer if ms is not None
        ]
        for name, limit in (*latencies, *self.costs().items()):
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
        return any(limit is not None for answer in self.budget_sets for limit in answer)

    def costs(self) -> dict[str, float]:
        """The limits on counted costs that are set, by name."""
        limits = vars(self).items()
        return {
            name: limit for name, limit in limits if name != "budget_sets" and limit is not None
        }

    def by_name(self) -> dict[str, float]:
        """The limits that hold whatever the question, `latency_ms` where there is one only."""
        limits = self.budget_sets[0]
        if len(self.budget_sets) > 1 or len(limits) > 1 or limits[0] is None:
            return self.costs()
        return {"latency_ms": limits[0], **self.costs()}

    def separate(self) -> list[Budgets]:
        """Each question alone."""
        return [replace(self, budget_sets=(answer,)) for answer in self.budget_sets]

    def loosest(self, target: int) -> float | None:
        """The greatest limit in ms on a target; None where it has none."""
        limits = [answer[target] for answer in self.budget_sets]
        return max((limit for limit in limits if limit is not None), default=None)

    def excess(self, measures: Measures) -> Floats:
        """How far above the limits: value / limit - 1, (n, limits), feasible where <= 0.

        The latencies are one column, the excess of the question that is nearest to being answered;
        then each cost that is limited.
        """
        columns = self._cost_excess(measures)
        if self.limits_latency:
            columns.insert(0, self._latency_excess(measures).min(axis=1))
        return np.stack(columns, axis=1) if columns else np.zeros((len(measures.macs), 0))

    def excess_by_answer(self, measures: Measures) -> Floats:
        """The largest excess over any limit of each question: (n, questions), kept where <= 0."""
        found = self._latency_excess(measures)
        for column in self._cost_excess(measures):
            found = np.maximum(found, column[:, None])
        return found

    def _latency_excess(self, measures: Measures) -> Floats:
        """The largest excess over the latency limits of each question: (n, questions)."""
        limits = np.array(self.budget_sets, dtype=float)  # None becomes NaN
        limits = np.where(np.isnan(limits), np.inf, limits)
        found: Floats = (measures.high_ms[:, None, :] / limits - 1.0).max(axis=2)
        return found

    def _cost_excess(self, measures: Measures) -> list[Floats]:
        return [_value(name, measures) / limit - 1.0 for name, limit in self.costs().items()]


@dataclass(frozen=True)
class Spread:
    """Upper ends of the latencies that are predicted on one target, in ms."""

    name: str
    """The target in short."""
    fastest_ms: float
    """The least that was found."""
    median_ms: float
    """What half of the samples are within."""
    slowest_ms: float
    """The greatest among the samples."""


@dataclass(frozen=True)
class Feasibility:
    """How much of a space is within the budgets."""

    budgets: Budgets
    shares: tuple[float, ...]
    """Of the samples, how many can answer each question: 0 ... 1."""
    share: float
    """How many can answer any of them."""
    samples: int
    spreads: tuple[Spread, ...]
    """One per target."""

    @property
    def binds(self) -> bool:
        """Whether the budgets exclude anything that was sampled."""
        return self.share < 1.0

    def __str__(self) -> str:
        """One sentence for the user."""
        sampled = f"{self.samples:,} sampled architectures"
        names = [spread.name for spread in self.spreads]
        half = self._half()
        slowest = limits_in_words([spread.slowest_ms for spread in self.spreads], names)
        if not self.budgets:
            return f"There is no budget. {sampled} are predicted within {slowest}{half}."
        if len(self.shares) > 1 or (len(names) > 1 and self.budgets.limits_latency):
            parts = [
                f"{_share_in_words(share)} are within {limits_in_words(limits, names)}"
                for share, limits in zip(self.shares, self.budgets.budget_sets, strict=True)
            ]
            return f"Of {sampled}, {', '.join(parts)}."
        if not self.binds:
            return (
                f"The budget does not bind: every one of {sampled} is predicted within it. "
                f"A latency below {slowest} would bind{half}."
            )
        if self.share == 0:
            return f"None of {sampled} is within the budget, but smaller ones are."
        if self.share > HARDLY:
            beyond = round((1.0 - self.share) * self.samples)
            return (
                f"The budget hardly binds: all but {beyond:,} of {sampled} are within the budget"
                f"{half}."
            )
        return f"{self.share:.1%} of {sampled} are within the budget."

    def _half(self) -> str:
        """The budget that half of the samples would keep, where there is one target."""
        if len(self.spreads) > 1:
            return ""
        return f"; {format_ms(self.spreads[0].median_ms)} would leave half of them"


def limits_in_words(limits: Sequence[float | None], names: Sequence[str]) -> str:
    """The latency limits of one question: `5 ms`, or `5 ms on a100 and 40 ms on cpu`."""
    if len(names) == 1 and limits[0] is not None:
        return format_ms(limits[0])
    return " and ".join(
        f"{format_ms(limit)} on {name}"
        for limit, name in zip(limits, names, strict=True)
        if limit is not None
    )


def check_feasible(
    space: CodeSpace,
    budgets: Budgets,
    measures: MeasuresOf,
    rng: np.random.Generator,
    *,
    name: str = "the space",
    targets: Sequence[str] = ("",),
    names: Sequence[str] = ("",),
    smallest: Codes | None = None,
) -> Feasibility:
    """Whether every question has an answer: 20,000 samples, then a descent from the smallest.

    Args:
        space: What is searched.
        budgets: What has to hold.
        measures: Predicted latencies and costs of codes.
        rng: Source of randomness.
        name: The space's name, for the message.
        targets: The targets in words ("cpu (float32, batch 1, 2 threads)"), for the message.
        names: The same in short ("cpu"); needed where there are several.
        smallest: Codes (n, genes) to begin the descent with, such as the space's smallest.

    Raises:
        InfeasibleError: nothing answers one of them; says which, and what the fastest found needs.
    """
    sampled = space.sample(SAMPLES, rng)
    known = measures(sampled)
    questions = budgets.separate()
    outside = np.stack([_outside(question, known) for question in questions])
    shares = tuple(float(np.mean(row == 0)) for row in outside)
    fastest = known.high_ms.min(axis=0)
    failed: list[tuple[Budgets, Measures]] = []
    if min(shares) < 1.0:
        start = _starts(sampled, outside.max(axis=0), smallest)
        for target in range(len(fastest)):
            least = _least_ms(space, target, measures, rng, start)
            fastest[target] = min(fastest[target], least)
        for question, row, share in zip(questions, outside, shares, strict=True):
            if share == 0.0:
                nearest = _nearest(space, question, measures, rng, _starts(sampled, row, smallest))
                if _outside(question, nearest)[0] > 0:
                    failed.append((question, nearest))
    if failed:
        others = len(failed) < len(questions)
        raise InfeasibleError(_refusal(failed, fastest, name, targets, names, others))
    return Feasibility(
        budgets=budgets,
        shares=shares,
        share=float(np.mean(outside.min(axis=0) == 0)),
        samples=len(sampled),
        spreads=tuple(
            Spread(short, float(least), float(np.median(high)), float(high.max()))
            for short, least, high in zip(names, fastest, known.high_ms.T, strict=True)
        ),
    )


def _starts(sampled: Codes, outside: Floats, smallest: Codes | None) -> Codes:
    """What a descent begins with: the samples that are least outside, and the smallest."""
    start = sampled[np.argsort(outside, kind="stable")[:64]]
    if smallest is None:
        return start
    return np.concatenate([np.atleast_2d(smallest).astype(start.dtype), start])


def _least_ms(
    space: CodeSpace, target: int, measures: MeasuresOf, rng: np.random.Generator, start: Codes
) -> float:
    """The least upper end of a latency that a descent finds on a target."""

    def latency(codes: Codes) -> Floats:
        return measures(codes).high_ms[:, target]

    return float(latency(descend(space, latency, rng, start)[:1])[0])


def _nearest(
    space: CodeSpace,
    budgets: Budgets,
    measures: MeasuresOf,
    rng: np.random.Generator,
    start: Codes,
) -> Measures:
    """Measures (1,) of the architecture that is least outside the budgets."""
    best = descend(space, lambda codes: _outside(budgets, measures(codes)), rng, start, enough=0.0)
    return measures(best[:1])


_COSTS = {
    "max_macs": ("{:,.0f} MACs", "--max-macs"),
    "max_params": ("{:,.0f} parameters", "--max-params"),
    "max_memory_mib": ("{:.3g} MiB of activations", "--max-memory"),
}


def _value(name: str, measures: Measures) -> Floats:
    """What a limit on a counted cost is compared with."""
    return {
        "max_macs": measures.macs,
        "max_params": measures.params,
        "max_memory_mib": measures.memory_mib,
    }[name]


def _outside(budgets: Budgets, measures: Measures) -> Floats:
    """Summed relative excess over all limits: (n,), 0 where feasible."""
    total: Floats = np.maximum(budgets.excess(measures), 0.0).sum(axis=1)
    return total


def _share_in_words(share: float) -> str:
    if share in (0.0, 1.0):
        return "all" if share else "none (but smaller ones)"
    return f"{share:.1%}"


def _refusal(
    failed: Sequence[tuple[Budgets, Measures]],
    fastest_ms: Floats,
    name: str,
    targets: Sequence[str],
    names: Sequence[str],
    others: bool,
) -> str:
    """Which questions have no answer, and what the nearest needs; `others` have one."""
    budgets, nearest = failed[0]
    advice = ", or choose a smaller space (`nas spaces`)."
    if others:
        advice = f", leave out what is too tight{advice}"
    if len(targets) == 1 and not budgets.costs():
        limits = " or ".join(f"{question.budget_sets[0][0]:.3g} ms" for question, _ in failed)
        return (
            f"No architecture of '{name}' runs within {limits}{_on(targets[0])}:\n"
            f"the fastest of {SAMPLES:,} is predicted to take up to {fastest_ms[0]:.3g} ms. "
            f"Raise --budget{advice}"
        )
    asked, found, options = [], [], []
    for target, limit in enumerate(budgets.budget_sets[0]):
        if limit is None:
            continue
        high, several = float(nearest.high_ms[0, target]), len(targets) > 1
        asked.append(f"a latency of {limit:.3g} ms" + _on(targets[target]))
        found.append(f"a latency of {high:.3g} ms" + _on(names[target] if several else ""))
        options += ["--budget"] if high > limit else []
    for cost, limit in budgets.costs().items():
        words, option = _COSTS[cost]
        value = float(_value(cost, nearest)[0])
        asked.append(words.format(limit))
        found.append(words.format(value))
        options += [option] if value > limit else []
    return (
        f"No architecture of '{name}' keeps within {' and '.join(asked)}:\n"
        f"the nearest of {SAMPLES:,} needs {' and '.join(found)}. "
        f"Raise {' or '.join(dict.fromkeys(options))}{advice}"
    )


def _on(target: str) -> str:
    return f" on {target}" if target else ""
