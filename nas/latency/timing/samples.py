"""What timed passes took: medians of the calm ones, at the machine's undisturbed speed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.latency.timing.drift import drift_of

Floats = NDArray[np.float64]
PASSES = 3
"""Timed passes of one visit, after one that warms up."""
CALM_SHARE = 0.25
"""Of all passes, how many undisturbed ones there must be for the others to be left out."""


@dataclass(frozen=True)
class Samples:
    """All timed passes of one network, in order of time."""

    ms: Floats
    """Milliseconds as they were, (passes, pieces)."""
    disturbed: NDArray[np.bool_]
    """During which passes the system took a processor away, (passes,)."""
    drift: Floats
    """Logarithm of the machine's slowness at each pass, (passes,)."""

    def typical(self) -> Floats:
        """Median of each piece over the calm passes, at the undisturbed speed, (pieces,)."""
        return np.asarray(np.median(self._calm(), axis=0), dtype=np.float64)

    def total(self) -> float:
        """Median of a whole pass, at the machine's undisturbed speed."""
        return float(np.median(self._calm().sum(axis=1)))

    def spread(self) -> float:
        """Distance between the quartiles of whole passes over their median."""
        low, middle, high = np.percentile(self._calm().sum(axis=1), [25, 50, 75])
        return float((high - low) / middle)

    def quarters(self) -> list[float]:
        """Medians of a whole pass in each quarter of the time, at the machine's speed then."""
        groups = np.array_split(np.arange(len(self.ms)), 4)
        return [
            Samples(self.ms[g], self.disturbed[g], np.zeros(len(g))).total()
            for g in groups
            if len(g)
        ]

    def _calm(self) -> Floats:
        steady = self.ms / np.exp(self.drift)[:, None]
        calm = steady[~self.disturbed]
        enough = max(1, int(len(self.ms) * CALM_SHARE))
        if len(calm) >= enough:
            return calm
        # A busy machine: what is nearest to undisturbed are the fastest passes.
        return steady[np.argsort(steady.sum(axis=1))[:enough]]


@dataclass(frozen=True)
class Measurement:
    """Whole networks, measured: each array is (n,), NaN where the memory did not hold one."""

    ms: Floats
    spread: Floats
    """Distance between the quartiles over the median."""
    quarters_ms: Floats
    """Medians in each quarter of the time, at the machine's speed then, (n, 4)."""
    rounds: int
    disturbed: float
    """Share of passes during which the system took a processor away."""
    drift: float
    """How much slower than its fastest the machine was at times: 95th over 5th percentile - 1."""

    @property
    def repeat_noise(self) -> float:
        """How far two measurements of one network are typically apart, as a share.

        Taken from the first and the second half of the time.
        """
        quarters = self.quarters_ms[self.fits]
        halves = np.log(quarters).reshape(len(quarters), 2, -1).mean(axis=2)
        return float(np.median(np.abs(halves[:, 0] - halves[:, 1])))

    @property
    def fits(self) -> NDArray[np.bool_]:
        """Which networks the memory held, (n,)."""
        return ~np.isnan(self.ms)


def summary(samples: Sequence[Samples]) -> Measurement:
    """What whole passes took."""
    low, high = np.percentile(np.concatenate([s.drift for s in samples]), [5, 95])
    return Measurement(
        ms=np.array([s.total() for s in samples], dtype=np.float64),
        spread=np.array([s.spread() for s in samples], dtype=np.float64),
        quarters_ms=np.array([s.quarters() for s in samples], dtype=np.float64),
        rounds=len(samples[0].ms) // PASSES,
        disturbed=float(np.mean([s.disturbed.mean() for s in samples])),
        drift=float(np.expm1(high - low)),
    )


def by_network(
    n: int,
    visited: NDArray[np.int64],
    stamps: list[list[list[int]]],
    disturbed: list[list[bool]],
) -> list[Samples]:
    """Passes of all visits, sorted by network, with the machine's drift worked out."""
    pieces = [np.diff(np.array(s, dtype=np.float64), axis=1) / 1e6 for s in stamps]
    drift = drift_of(np.array([np.median(p.sum(axis=1)) for p in pieces]), visited)
    found = []
    for i in range(n):
        visits = np.flatnonzero(visited == i)
        found.append(
            Samples(
                np.concatenate([pieces[v] for v in visits]),
                np.concatenate([disturbed[v] for v in visits]),
                np.repeat(drift[visits], PASSES),
            )
        )
    return found


def standard_error(n: int, visited: list[int], stamps: list[list[list[int]]]) -> float:
    """Of the medians of whole passes, as a share: nine networks in ten have a smaller one.

    1.25 s / sqrt(passes) for normal noise, whose s is the distance between the quartiles / 1.35.
    """
    took: list[list[int]] = [[] for _ in range(n)]
    for network, times in zip(visited, stamps, strict=True):
        took[network] += [one[-1] - one[0] for one in times]
    low, middle, high = np.percentile(np.array(took), [25, 50, 75], axis=1)
    errors = 1.25 * (high - low) / 1.35 / middle / math.sqrt(len(took[0]))
    return float(np.quantile(errors, 0.9))


def with_gaps(found: Measurement, held: NDArray[np.bool_]) -> Measurement:
    """With NaN for the networks that were not held, (n,)."""

    def spread_out(values: Floats) -> Floats:
        rows = np.full((len(held), *values.shape[1:]), np.nan)
        rows[held] = values
        return rows

    return dataclasses.replace(
        found,
        ms=spread_out(found.ms),
        spread=spread_out(found.spread),
        quarters_ms=spread_out(found.quarters_ms),
    )
