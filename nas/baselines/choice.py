"""Which stock networks to compare with, and at which resolution each keeps the budget.

A network's latency at any resolution follows from its latency at two, because its operations grow
with the number of pixels:

    ms(side) = fixed + slope side^2

Each network is taken at the largest resolution at which it keeps the budget: that is what a person
would do with it. Of each family the slowest such network is compared, as it can learn most.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nas.baselines.networks import FAMILIES, family_of

MARGIN = 0.95
"""Share of a budget that a latency between two measured ones may take."""
STEP = 16
"""Pixels between two resolutions."""
SMALLEST, LARGEST = 32, 224
"""Sides of images in pixels; stock networks halve them five times."""


@dataclass(frozen=True)
class Stock:
    """A stock network at a resolution."""

    name: str
    side: int

    def __str__(self) -> str:
        return f"{self.name} at {self.side} px"


@dataclass(frozen=True)
class Growth:
    """How a network's latency in ms grows with the side of its images, on each target."""

    sides: tuple[int, int]
    ms: tuple[tuple[float | None, float | None], ...]
    """At the two sides, one pair per target; None where it is not known, and infinite where the
    network does not fit into the memory."""

    def at(self, side: int) -> list[float | None]:
        """Milliseconds per batch on each target."""
        return [
            None if low is None or high is None else self._between(side, low, high)
            for low, high in self.ms
        ]

    def _between(self, side: int, low: float, high: float) -> float:
        if math.isinf(high):
            return low if side <= self.sides[0] else high
        squares = [float(each) ** 2 for each in self.sides]
        return float(np.interp(float(side) ** 2, squares, (low, high)))


def sides_for(native: tuple[int, int]) -> list[int]:
    """The resolutions to choose from for images of that height and width, ascending."""
    largest = min(LARGEST, max(SMALLEST, min(native) // STEP * STEP))
    return list(range(SMALLEST, largest + 1, STEP))


def choose(
    growth: Mapping[str, Growth],
    sides: Sequence[int],
    budget_sets: Sequence[Sequence[float | None]],
    pretrained: Sequence[str],
) -> list[Stock]:
    """A few stock networks, two to five: more for more budgets, because each takes its training.

    Networks with published weights come first, at each budget. Then networks of other families
    that come closest to the budgets, at least one.

    Args:
        growth: Latencies of the candidates by name; those that fit nowhere are left out.
        sides: Resolutions, ascending.
        budget_sets: Latency limits, one per target; None is no limit.
        pretrained: Candidates that start from published weights; they come first.
    """
    growth = {name: each for name, each in growth.items() if math.inf not in each.at(sides[0])}
    chosen: list[Stock] = []
    for limits in reversed(budget_sets):  # the loosest first
        chosen += [
            at_largest(name, growth, sides, limits) for name in pretrained if name in growth
        ]
    most = min(5, 1 + len(budget_sets))
    found = list(dict.fromkeys(chosen))[: most - 1]
    families = {family_of(stock.name) for stock in found}
    while len(found) < most:
        limits = budget_sets[-1 - (len(found) - 1) % len(budget_sets)]
        stock = _nearest(growth, sides, limits, families)
        if stock is None:
            break
        found.append(stock)
        families.add(family_of(stock.name))
    return found


def at_largest(
    name: str,
    growth: Mapping[str, Growth],
    sides: Sequence[int],
    limits: Sequence[float | None],
) -> Stock:
    """A network at the largest resolution at which it is within all limits, or the smallest."""
    kept = [side for side in sides if _excess(growth[name], side, limits) <= 0]
    return Stock(name, max(kept, default=sides[0]))


def _nearest(
    growth: Mapping[str, Growth],
    sides: Sequence[int],
    limits: Sequence[float | None],
    taken: set[str],
) -> Stock | None:
    """The network of a new family that takes most of the budget, or exceeds it least.

    One that sees images of half their size or more comes first: nobody would use a large network
    on thumbnails.
    """
    best: tuple[tuple[bool, bool, float], Stock] | None = None
    for name in growth:
        if family_of(name) in taken:
            continue
        stock = at_largest(name, growth, sides, limits)
        excess = _excess(growth[name], stock.side, limits)
        key = (excess > 0, 2 * stock.side < sides[-1], abs(excess))
        if best is None or key < best[0]:
            best = key, stock
    return None if best is None else best[1]


def _excess(growth: Growth, side: int, limits: Sequence[float | None]) -> float:
    """Latency over the share of the limit that it may take, minus 1, of the worst target."""
    pairs = zip(growth.at(side), limits, strict=True)
    found = (ms / (MARGIN * limit) - 1.0 for ms, limit in pairs if ms is not None and limit)
    return max(found, default=0.0)


def candidates() -> list[str]:
    """The names of all stock networks, preferred ones first."""
    return [name for names in FAMILIES.values() for name in names]
