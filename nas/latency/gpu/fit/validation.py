"""How well the GPU model predicts what it was not fitted on.

Published networks are left out in groups, so that each is predicted as a user's network would be:

    families    a fifth of timm's model families at a time, on every device
    devices     a device with all its variants
    runtimes    one runtime; other runtimes of its family remain
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from nas.latency.devices import base_of
from nas.latency.gpu.fit.fitting import Fitted, fit, predict, without
from nas.latency.gpu.fit.public import Measured
from nas.latency.gpu.formula import OUTDATED, RUNTIMES, way_of

Floats = NDArray[np.float64]
FOLDS = 5
COVERAGES = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98)


def fold_of(rows: Sequence[Measured], folds: int = FOLDS, seed: int = 0) -> NDArray[np.int64]:
    """A fold for each row, the same for all networks of a family; -1 for single launches."""
    families = sorted({row.family for row in rows if not row.is_launch})
    order = np.random.default_rng(seed).permutation(len(families))
    fold = {family: int(order[i]) % folds for i, family in enumerate(families)}
    return np.array([-1 if row.is_launch else fold[row.family] for row in rows])


def family_fits(
    rows: Sequence[Measured], tested: Sequence[Measured]
) -> Iterator[tuple[Fitted, list[int], list[int]]]:
    """For each fold of families: a fit without it, positions of tested rows in it, the others."""
    fold = fold_of([*rows, *tested])
    for i in range(FOLDS):
        train = [row for row, f in zip(rows, fold[: len(rows)], strict=True) if f != i]
        held = [int(j) for j in np.flatnonzero(fold[len(rows) :] == i)]
        rest = [int(j) for j in np.flatnonzero(fold[len(rows) :] != i)]
        if held:
            yield fit(train), held, rest


def leave_families_out(rows: Sequence[Measured], tested: Sequence[Measured]) -> Floats:
    """Each tested row predicted by a fit to rows of other families, (tested,)."""
    found = np.zeros(len(tested))
    for fitted, held, _ in family_fits(rows, tested):
        found[held] = predict(fitted, [tested[j] for j in held])
    return found


def leave_devices_out(rows: Sequence[Measured]) -> Iterator[tuple[str, list[Measured], Floats]]:
    """Networks of each device, predicted by a fit without it: name, rows, milliseconds."""
    for name in sorted({base_of(row.device) for row in rows if not row.is_launch}):
        tested = [row for row in rows if base_of(row.device) == name and not row.is_launch]
        yield name, tested, predict(fit(without(rows, [name])), tested)


def leave_runtimes_out(rows: Sequence[Measured]) -> Iterator[tuple[str, list[Measured], Floats]]:
    """Networks of each runtime, predicted by a fit that never saw it."""
    for name in sorted({row.runtime for row in rows if not row.is_launch}):
        tested = [row for row in rows if row.runtime == name]
        rest = [row for row in rows if row.runtime != name]
        yield name, tested, predict(fit(rest), tested)


Groups = Mapping[tuple[str, str], Floats]
"""Log errors of networks by device and runtime."""


def by_group(rows: Sequence[Measured], predicted: Floats) -> Groups:
    """log(measured / predicted), grouped by device and runtime."""
    found: dict[tuple[str, str], list[float]] = {}
    for row, ms in zip(rows, predicted, strict=True):
        found.setdefault((row.device, row.runtime), []).append(float(np.log(row.ms / ms)))
    return {group: np.array(errors) for group, errors in found.items()}


def half_widths(
    within: Groups, devices: Groups, runtimes: Groups | None = None
) -> dict[str, dict[str, float]]:
    """Half widths of intervals, by basis and way of launching, and by coverage.

    Three errors are independent and add up as squares: how networks of a known group scatter,
    what a group is off by where its device was left out, and what it is off by where its runtime
    was. Where networks were measured on the very target, only the scatter is left (`corrected`).
    Every group has the same weight, however many rows it has. Less knowledge never gives a
    narrower interval. Runtimes that nobody uses any more count only for runtimes that were never
    measured, which may be as different.

    Args:
        within: Errors where families of networks were left out.
        devices: Errors where the device was left out with all its variants.
        runtimes: Errors where the runtime was left out.
    """
    found = {}
    for way in ("launched", "fused"):
        own, left = (_of_way(groups, way) for groups in (within, devices))
        scatter = _quantiles(errors - np.median(errors) for errors in own.values())
        known = _at_least(scatter, _quantiles(own.values()))
        found[f"corrected {way}"] = scatter
        found[f"known {way}"] = known
        found[f"device {way}"] = _at_least(known, _wider(scatter, left))
        if runtimes is not None:
            found[f"runtime {way}"] = _at_least(known, _wider(scatter, left, runtimes))
    return found


def _of_way(groups: Groups, way: str) -> Groups:
    return {
        (device, runtime): errors
        for (device, runtime), errors in groups.items()
        if way_of(runtime) == way and RUNTIMES[runtime].family not in OUTDATED
    }


def _wider(scatter: Mapping[str, float], *left_out: Groups) -> dict[str, float]:
    """The scatter combined with what groups are off by, each a quantile over its own groups."""
    offsets = [
        _quantiles(np.array([np.median(errors)]) for errors in groups.values())
        for groups in left_out
    ]
    return {
        coverage: math.hypot(width, *(offset[coverage] for offset in offsets))
        for coverage, width in scatter.items()
    }


def _at_least(least: Mapping[str, float], widths: Mapping[str, float]) -> dict[str, float]:
    return {coverage: max(width, least[coverage]) for coverage, width in widths.items()}


def _quantiles(groups: Iterable[Floats]) -> dict[str, float]:
    """Quantiles of the absolute values, each group of the same weight."""
    listed = list(groups)
    values = np.abs(np.concatenate(listed))
    weights = np.concatenate([np.full(len(group), 1 / len(group)) for group in listed])
    order = np.argsort(values)
    share = np.cumsum(weights[order]) / weights.sum()
    at = [min(int(np.searchsorted(share, c)), len(order) - 1) for c in COVERAGES]
    return {str(c): float(values[order][i]) for c, i in zip(COVERAGES, at, strict=True)}


def covered(predicted: Floats, measured: Floats, half_width: float) -> float:
    """Share of rows inside the interval."""
    return float((np.abs(np.log(measured / predicted)) <= half_width).mean())
