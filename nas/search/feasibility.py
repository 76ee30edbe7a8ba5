"""Whether a space holds architectures within the budgets, and how many.

20,000 samples --> the share within each budget set
--> no sample within a set: evolve codes towards it, from the smallest
--> still none: `InfeasibleError`
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nas.search.asking.descent import descend
from nas.search.infeasible import Described, Miss, infeasible
from nas.search.objectives import Budgets, Measures, MeasuresOf, limits_in_words
from nas.search.protocol import Codes, CodeSpace, Floats
from nas.units import format_ms

SAMPLES, OFTEN = 20_000, 10
"""Architectures that are drawn; each one counts once in a space so small that they repeat."""
HARDLY = 0.95
"""A budget that leaves more than this share hardly binds."""


@dataclass(frozen=True)
class Spread:
    """Upper ends of the predicted latencies on one target, in ms."""

    name: str
    """The target in short."""
    fastest_ms: float
    """The smallest that was found."""
    median_ms: float
    """The median of the samples."""
    slowest_ms: float
    """The largest of the samples."""


@dataclass(frozen=True)
class Feasibility:
    """The share of a space that is within the budgets."""

    budgets: Budgets
    shares: tuple[float, ...]
    """The share of the samples within each budget set: 0 ... 1."""
    share: float
    """The share of the samples within any budget set."""
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
        if not self.budgets:
            return f"There is no budget. {sampled} are predicted within {self._slowest()}" + (
                f"{self._half()}."
            )
        if len(self.shares) > 1 or (len(self.spreads) > 1 and self.budgets.limits_latency):
            return f"Of {sampled}, {self._shares_in_words()}."
        if not self.binds:
            return (
                f"The budget does not bind: every one of {sampled} is predicted within it. "
                f"A latency below {self._slowest()} would bind{self._half()}."
            )
        if self.share == 0:
            return f"None of {sampled} is within the budget, but smaller ones are."
        if self.share > HARDLY:
            beyond = round((1.0 - self.share) * self.samples)
            return (
                f"The budget hardly binds: all but {beyond:,} of {sampled} are within the budget"
                f"{self._half()}."
            )
        return f"{self.share:.1%} of {sampled} are within the budget."

    @property
    def _names(self) -> list[str]:
        return [spread.name for spread in self.spreads]

    def _slowest(self) -> str:
        return limits_in_words([spread.slowest_ms for spread in self.spreads], self._names)

    def _half(self) -> str:
        """Words for the budget that half of the samples would keep; empty with several targets."""
        if len(self.spreads) > 1:
            return ""
        return f"; {format_ms(self.spreads[0].median_ms)} would leave half of them"

    def _shares_in_words(self) -> str:
        parts = [
            f"{_in_words(share)} are within {limits_in_words(limits, self._names)}"
            for share, limits in zip(self.shares, self.budgets.budget_sets, strict=True)
        ]
        return ", ".join(parts)


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
    """Find the share of a space that is within the budgets.

    Args:
        space: The space.
        budgets: The limits.
        measures: Predicted latencies and costs of codes.
        rng: Source of randomness.
        name: Name of the space, for the message.
        targets: The targets in words ("cpu (float32, batch 1, 2 threads)"), for the message.
        names: Short names of the targets ("cpu"); needed if there are several.
        smallest: Codes (n, genes) to begin the descent with, such as the space's smallest.

    Raises:
        InfeasibleError: nothing is within one of the budget sets; the message says which, and
            what the nearest architecture needs.
    """
    descent = _Descent(space, measures, rng, smallest)
    known = measures(descent.sampled)
    outside = np.stack([_outside(alone, known) for alone in budgets.separate()])  # (sets, n)
    shares = tuple(float(np.mean(row == 0)) for row in outside)
    fastest = known.high_ms.min(axis=0)
    if min(shares) < 1.0:
        fastest = np.minimum(fastest, descent.fastest(outside.max(axis=0), len(fastest)))
        missed = descent.missed(budgets, outside)
        if missed:
            about = Described(
                name, targets, names, len(descent.sampled), some_kept=len(missed) < len(shares)
            )
            raise infeasible(missed, fastest, about)
    return Feasibility(
        budgets=budgets,
        shares=shares,
        share=float(np.mean(outside.min(axis=0) == 0)),
        samples=len(descent.sampled),
        spreads=tuple(
            Spread(short, float(least), float(np.median(high)), float(high.max()))
            for short, least, high in zip(names, fastest, known.high_ms.T, strict=True)
        ),
    )


class _Descent:
    """Samples of a space, and codes evolved from them towards less latency or excess."""

    def __init__(
        self,
        space: CodeSpace,
        measures: MeasuresOf,
        rng: np.random.Generator,
        smallest: Codes | None,
    ) -> None:
        self._space, self._measures, self._rng, self._smallest = space, measures, rng, smallest
        drawn = space.sample(SAMPLES, rng)
        small = space.size() <= SAMPLES // OFTEN
        self.sampled: Codes = np.unique(drawn, axis=0) if small else drawn

    def fastest(self, outside: Floats, targets: int) -> Floats:
        """The smallest upper end of a latency on each target: (targets,)."""
        start = self._starts(outside)
        return np.array([self._least_ms(target, start) for target in range(targets)])

    def missed(self, budgets: Budgets, outside: Floats) -> list[Miss]:
        """The budget sets (rows of `outside`) without an architecture, and the nearest ones."""
        missed = []
        for alone, row in zip(budgets.separate(), outside, strict=True):
            if not (row == 0).any():
                nearest = self._nearest(alone, self._starts(row))
                if _outside(alone, nearest)[0] > 0:
                    missed.append(Miss(alone, nearest))
        return missed

    def _starts(self, outside: Floats) -> Codes:
        """The samples with the least excess, and the smallest architectures."""
        start = self.sampled[np.argsort(outside, kind="stable")[:64]]
        if self._smallest is None:
            return start
        return np.concatenate([np.atleast_2d(self._smallest).astype(start.dtype), start])

    def _least_ms(self, target: int, start: Codes) -> float:
        def latency(codes: Codes) -> Floats:
            return self._measures(codes).high_ms[:, target]

        return float(latency(descend(self._space, latency, self._rng, start)[:1])[0])

    def _nearest(self, budgets: Budgets, start: Codes) -> Measures:
        """Measures (1,) of the architecture with the least excess over the budgets."""

        def outside(codes: Codes) -> Floats:
            return _outside(budgets, self._measures(codes))

        return self._measures(descend(self._space, outside, self._rng, start, enough=0.0)[:1])


def _outside(budgets: Budgets, measures: Measures) -> Floats:
    """Summed relative excess over all limits: (n,), 0 where feasible."""
    total: Floats = np.maximum(budgets.excess(measures), 0.0).sum(axis=1)
    return total


def _in_words(share: float) -> str:
    if share in (0.0, 1.0):
        return "all" if share else "none (but smaller ones)"
    return f"{share:.1%}"
