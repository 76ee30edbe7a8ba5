"""From timed passes to milliseconds: medians, corrected for slowdowns by other programs.

    log t(visit) = m(network) + d(time) + noise

Networks take turns, so a slowdown that hits all networks at the same time comes from the machine:
a neighbour on the same host, or a hotter chip. The drift d is the running median of what remains
of the times after each network's own median m; 0 is a machine that nothing slows down. Dividing
by exp(d) corrects the times. On a machine that nothing slows down, d holds a little noise.

Seen on a shared virtual machine: the speed halved for seconds at a time, about half of the time.
Without the correction a median depends on which half lasted longer.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

Floats = NDArray[np.float64]
PASSES = 3
"""Timed passes of one visit, after one that warms up."""
CALM_SHARE = 0.25
"""Interrupted passes are left out if at least this share of all passes was not interrupted."""
WINDOW = 21
"""Visits in the running median."""
UNDISTURBED = 0.1
"""Share of the visits that are assumed to have run at the machine's full speed."""
SWEEPS = 3
"""How often the networks' medians and the drift are estimated in turn."""


@dataclass(frozen=True)
class Samples:
    """All timed passes of one network, in order of time."""

    ms: Floats
    """Milliseconds as measured, (passes, pieces)."""
    disturbed: NDArray[np.bool_]
    """During which passes the system interrupted this process, (passes,)."""
    drift: Floats
    """Logarithm of the machine's slowdown at each pass, (passes,)."""

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return {field.name: getattr(self, field.name).tolist() for field in fields(self)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Samples:
        """What `to_dict` gave."""
        disturbed = np.array(data["disturbed"], dtype=bool)
        return cls(np.array(data["ms"], float), disturbed, np.array(data["drift"], float))

    def typical(self) -> Floats:
        """Median of each piece over the calm passes, corrected for the drift, (pieces,)."""
        return np.asarray(np.median(self._calm(), axis=0), dtype=np.float64)

    def total(self) -> float:
        """Median of all pieces together, corrected for the drift."""
        return float(np.median(self._calm().sum(axis=1)))

    def spread(self) -> float:
        """Distance between the quartiles of all pieces together, over their median."""
        low, middle, high = np.percentile(self._calm().sum(axis=1), [25, 50, 75])
        return float((high - low) / middle)

    def quarters(self, corrected: bool = False) -> list[float]:
        """Median of all pieces together in each quarter of the time."""
        drift = self.drift if corrected else np.zeros(len(self.drift))
        groups = np.array_split(np.arange(len(self.ms)), 4)
        return [Samples(self.ms[g], self.disturbed[g], drift[g]).total() for g in groups if len(g)]

    def _calm(self) -> Floats:
        steady = self.ms / np.exp(self.drift)[:, None]
        calm = steady[~self.disturbed]
        enough = max(1, int(len(self.ms) * CALM_SHARE))
        if len(calm) >= enough:
            return calm
        # On a busy machine the fastest passes are the least disturbed ones.
        return steady[np.argsort(steady.sum(axis=1))[:enough]]


@dataclass(frozen=True)
class Measurement:
    """Measured networks. Each array is (n,), with NaN for a network that did not fit in memory."""

    ms: Floats
    """Corrected for slowdowns by other programs."""
    spread: Floats
    """Distance between the quartiles over the median."""
    quarters_ms: Floats
    """Medians in each quarter of the time, slowdowns included, (n, 4)."""
    calm_quarters_ms: Floats
    """The same corrected for slowdowns by other programs, (n, 4)."""
    rounds: int
    disturbed: float
    """Share of passes during which the system interrupted this process."""
    drift: float
    """The machine's slowest over its fastest moments: 95th over 5th percentile, minus 1."""

    @property
    def repeat_noise(self) -> float:
        """Median relative difference between two measurements of one network.

        The two are the first and the second half of the time.
        """
        quarters = self.quarters_ms[self.fits]
        halves = np.log(quarters).reshape(len(quarters), 2, -1).mean(axis=2)
        return float(np.median(np.abs(halves[:, 0] - halves[:, 1])))

    def figures(self) -> dict[str, float]:
        """How well it was measured, by name."""
        return {
            "rounds": self.rounds,
            "repeat_noise": self.repeat_noise,
            "disturbed": self.disturbed,
            "drift": self.drift,
        }

    @property
    def fits(self) -> NDArray[np.bool_]:
        """Which networks fitted into the memory, (n,)."""
        return ~np.isnan(self.ms)


def summary(samples: Sequence[Samples]) -> Measurement:
    """The measurement of networks from their samples."""
    low, high = np.percentile(np.concatenate([s.drift for s in samples]), [5, 95])
    return Measurement(
        ms=np.array([s.total() for s in samples], dtype=np.float64),
        spread=np.array([s.spread() for s in samples], dtype=np.float64),
        quarters_ms=np.array([s.quarters() for s in samples], dtype=np.float64),
        calm_quarters_ms=np.array([s.quarters(corrected=True) for s in samples], np.float64),
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
    """Sort the passes of all visits by network, and estimate the machine's drift.

    Args:
        visited: Which network each visit was to, in order of time, (visits,).
        stamps: Nanoseconds of each pass of each visit, see `machine.Pass`.
        disturbed: Whether the system interrupted each pass of each visit.
    """
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


def drift_of(ms: Floats, network: NDArray[np.int64]) -> Floats:
    """Logarithm of the machine's slowdown at each visit, (visits,); 0 is undisturbed."""
    logs = np.log(ms)
    drift = np.zeros(len(ms))
    for _ in range(SWEEPS if len(ms) else 0):
        level = np.zeros(int(network.max()) + 1)
        for i in np.unique(network):
            level[i] = np.median((logs - drift)[network == i])
        drift = median_filter(logs - level[network], size=WINDOW, mode="nearest")
        drift -= np.quantile(drift, UNDISTURBED)
    return np.asarray(drift, dtype=np.float64)


def standard_error(n: int, visited: list[int], stamps: list[list[list[int]]]) -> float:
    """Relative standard error of the networks' medians: 90th percentile over the networks.

    1.25 s / sqrt(passes) for normal noise, with s = (distance between the quartiles) / 1.35.
    """
    took: list[list[int]] = [[] for _ in range(n)]
    for network, times in zip(visited, stamps, strict=True):
        took[network] += [one[-1] - one[0] for one in times]
    low, middle, high = np.percentile(np.array(took), [25, 50, 75], axis=1)
    errors = 1.25 * (high - low) / 1.35 / middle / math.sqrt(len(took[0]))
    return float(np.quantile(errors, 0.9))


def with_gaps(found: Measurement, held: NDArray[np.bool_]) -> Measurement:
    """The measurement with NaN for the networks that did not fit into the memory."""

    def spread_out(values: Floats) -> Floats:
        rows = np.full((len(held), *values.shape[1:]), np.nan)
        rows[held] = values
        return rows

    return dataclasses.replace(
        found,
        ms=spread_out(found.ms),
        spread=spread_out(found.spread),
        quarters_ms=spread_out(found.quarters_ms),
        calm_quarters_ms=spread_out(found.calm_quarters_ms),
    )
