"""How well the model predicts GPUs that it was not fitted on: `results/latency/gpu-accuracy.*`.

    python scripts/gpu_latency_accuracy.py

    rtx4090     fitted without any row of an RTX 4090, families of networks held out on every GPU;
                compile without and with ten measured networks of other families
    a100        fitted without any row of an A100; then with ten measured networks of other models:
                drawn from the same runtime, drawn from all runtimes, and chosen from all runtimes
                as `nas measure` chooses, each runtime with a factor of its own
    runtimes    a runtime that was measured on no GPU
    lookup      another GPU's time of the same network, times one constant or times our ratio
    again       the same network on the same GPU with a newer PyTorch; *inside* is the share whose
                change is within the interval of a measured GPU

Run `scripts/fit_gpu_model.py` before: it fills the cache of traces.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from fit_gpu_model import measurements
from results_file import write

from nas.latency.gpu.fit.fitting import Fitted, fit, predict, terms, without
from nas.latency.gpu.fit.public import Measured
from nas.latency.gpu.fit.validation import (
    Floats,
    Groups,
    by_group,
    covered,
    family_fits,
    half_widths,
    leave_devices_out,
    leave_runtimes_out,
)
from nas.latency.gpu.formula import TERMS, way_of
from nas.latency.prediction import GPU_CHANGE, agreement, another_day
from nas.latency.profiles.choosing import most_certain
from nas.latency.profiles.correction import FewShot, Prior
from nas.latency.profiles.correction import fit as calibrate
from nas.latency.profiles.gpu import PRIOR
from nas.storage import atomic_write

CALIBRATION = 10
DRAWS = 10
FEWEST = 3
"""The smallest number of rows for a correction."""
OWN = 0.2
"""The typical error of a runtime on a device, in the logarithm, beyond the error that all runtimes
there have in common; from left-out devices other than the A100."""
UNSEEN = "runtime never seen"
Table = list[dict[str, Any]]
Widths = dict[str, dict[str, float]]


def main() -> None:
    """Print and write every table."""
    rows = measurements()
    table: Table = []
    within, between = _unseen_gpu(rows, table)
    _lookup(rows, table)
    _again(rows, table)
    _a100(rows, table, within, between)
    _unseen_runtimes(rows, within, between, table)
    path = write("latency", "gpu-accuracy", {"table": table})
    atomic_write(path.with_suffix(".md"), _page(table))


def _page(table: Table) -> str:
    """The table as a page of Markdown."""
    lines = [
        "# GPUs, runtimes and networks that the model was not fitted on",
        "",
        "`python scripts/gpu_latency_accuracy.py`; conditions in `gpu-accuracy.json`. Errors are "
        "of predicted over published times; *inside* is the share within the 90 % interval. "
        f"{CALIBRATION} measured networks are drawn at random {DRAWS} times (the draw with "
        "the median error is shown), or the most informative are chosen. They are never of the "
        "tested model's family (4090) or of the tested model (A100).",
        "",
        "| test | networks | median error | MAPE | Spearman | bias (log) | inside |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in table:
        inside = f"{row['covered']:.0%}" if row["covered"] is not None else "-"
        lines.append(
            f"| {row['test']} | {row['networks']} | {row['median']:.1%} | {row['mape']:.1%} "
            f"| {row['spearman']:.3f} | {row['bias']:+.3f} | {inside} |"
        )
    unseen = [row["covered"] for row in table if row["test"].startswith(UNSEEN)]
    lines += ["", f"{UNSEEN}: {np.mean(unseen):.0%} inside on average over the runtimes."]
    return "\n".join(lines) + "\n"


def _add(
    table: Table, test: str, rows: Sequence[Measured], ms: Floats, cover: float | None
) -> None:
    measured = np.array([row.ms for row in rows])
    found = agreement(ms, measured)
    table.append(
        {
            "test": test,
            "networks": len(rows),
            "median": round(found["median"], 4),
            "mape": round(found["mape"], 4),
            "spearman": round(found["spearman"], 4),
            "bias": round(float(np.median(np.log(ms / measured))), 4),
            "covered": None if cover is None else round(cover, 3),
        }
    )
    print(table[-1], flush=True)


def _unseen_gpu(rows: Sequence[Measured], table: Table) -> tuple[Groups, Groups]:
    """Add the 4090's rows; returns the errors of other devices, known and left out."""
    others = without(rows, ["rtx4090"])
    networks = [row for row in others if not row.is_launch]
    tested = [row for row in rows if row.device == "rtx4090"]
    every = [*networks, *tested]
    predicted, ten, inside = (np.zeros(len(every)) for _ in range(3))
    rng = np.random.default_rng(0)
    for fitted, held, rest in family_fits(others, every):
        predicted[held] = predict(fitted, [every[i] for i in held])
        for source in sorted({row.source for row in tested if row.runtime == "compile"}):
            pool = [every[i] for i in rest if every[i].source == source]
            here = [i for i in held if every[i].source == source]
            ten[here], inside[here] = _calibrated(fitted, pool, [every[i] for i in here], rng)
    within = by_group(networks, predicted[: len(networks)])
    between = {
        group: errors
        for _, left_out, ms in leave_devices_out(others)
        for group, errors in by_group(left_out, ms).items()
    }
    widths = half_widths(within, between)  # of devices other than the 4090
    predicted, ten, inside = (found[len(networks) :] for found in (predicted, ten, inside))
    for source in sorted({row.source for row in tested}):
        chosen = [i for i, row in enumerate(tested) if row.source == source]
        here_rows = [tested[i] for i in chosen]
        ms = np.array([row.ms for row in here_rows])
        cover = covered(predicted[chosen], ms, _width(widths, here_rows[0]))
        _add(table, f"unseen: {source}", here_rows, predicted[chosen], cover)
        if here_rows[0].runtime == "compile":
            share = float(inside[chosen].mean())
            _add(table, f"unseen, ten networks measured: {source}", here_rows, ten[chosen], share)
    return within, between


def _width(widths: Widths, row: Measured) -> float:
    """Half width of the 90 % interval where the device was not measured."""
    return widths[f"device {way_of(row.runtime)}"]["0.9"]


def _calibrated(
    fitted: Fitted,
    pool: Sequence[Measured],
    tested: Sequence[Measured],
    rng: np.random.Generator,
) -> tuple[Floats, Floats]:
    """Predictions after ten networks of a pool were measured, and whether intervals cover.

    Ten (or all, if there are fewer) are drawn at random several times; the draw with the median
    error is returned.
    """
    offered, features = terms(fitted, pool), terms(fitted, tested)
    ms = np.array([row.ms for row in tested])
    drawn: list[tuple[Floats, Floats]] = []
    for _ in range(DRAWS):
        chosen = rng.choice(len(pool), min(CALIBRATION, len(pool)), replace=False)
        few = calibrate(offered[chosen], np.array([pool[int(i)].ms for i in chosen]), PRIOR)
        drawn.append(_with_interval(few, features, ms))
    errors = [float(np.abs(predicted / ms - 1).mean()) for predicted, _ in drawn]
    return drawn[int(np.argsort(errors)[len(errors) // 2])]


def _with_interval(few: FewShot, features: Floats, ms: Floats) -> tuple[Floats, Floats]:
    """Predictions, and which measured times are within the interval of a GPU measured once."""
    predicted = few.predict(features).ms
    width = another_day(few.log_half_width, GPU_CHANGE)
    return predicted, (np.abs(np.log(ms / predicted)) <= width).astype(float)


def _lookup(rows: Sequence[Measured], table: Table) -> None:
    """Predict the 4090 from the time that a network took on the 3090."""
    others = without(rows, ["rtx4090"])
    fitted = fit(others)
    for layout in ("nchw", "nhwc"):
        there, here = (f"timm {layout}-pt240-cu124-rtx{board}" for board in (3090, 4090))
        old, new = _alike(rows, there, here)
        ms_old, ms_new = (np.array([row.ms for row in x]) for x in (old, new))
        ratio = predict(fitted, new, known_boards=False)
        ratio /= predict(fitted, old, known_boards=False)
        constant = np.full(len(new), float(np.median(ms_new / ms_old)))
        _add(
            table,
            f"lookup {layout}: one constant (fitted on the 4090)",
            new,
            ms_old * constant,
            None,
        )
        _add(table, f"lookup {layout}: our ratio", new, ms_old * ratio, None)


def _again(rows: Sequence[Measured], table: Table) -> None:
    """Predict times on the 4090 with PyTorch 2.9 by those with PyTorch 2.4."""
    sources = "timm nchw-pt240-cu124-rtx4090", "timm nchw-pt291-cu128-4090"
    before, after = _alike(rows, *sources)
    old, new = (np.array([row.ms for row in x]) for x in (before, after))
    inside = covered(old, new, GPU_CHANGE)
    _add(table, "measured again: 4090, PyTorch 2.9 after 2.4", after, old, inside)


def _alike(
    rows: Sequence[Measured], first: str, second: str
) -> tuple[list[Measured], list[Measured]]:
    """The rows of networks with equal launches in two sources, from each of them."""
    there = {row.name: row for row in rows if row.source == first}
    pairs = [(there[row.name], row) for row in rows if row.source == second and row.name in there]
    same = [
        (a, b)
        for a, b in pairs
        if a.launches.kinds == b.launches.kinds
        and np.array_equal(a.launches.sizes, b.launches.sizes)
    ]
    return [a for a, _ in same], [b for _, b in same]


def _a100(rows: Sequence[Measured], table: Table, within: Groups, between: Groups) -> None:
    widths = half_widths(_not_a100(within), _not_a100(between))
    fitted = fit(without(rows, ["a100"]))
    tested = [
        row
        for row in rows
        if row.device.startswith("a100") and not row.is_launch and row.precision in ("fp16", "amp")
    ]
    tests: dict[str, Callable[[Measured], bool]] = {
        "fused, batch >= 8": lambda row: _fused(row) and row.batch_size >= 8,
        "fused, batch 1": lambda row: _fused(row) and row.batch_size == 1,
        "eager and jit, batch >= 32": lambda row: not _fused(row) and row.batch_size >= 32,
        "eager of convolutional networks, batch >= 32": (
            lambda row: row.runtime == "eager-ngc" and row.batch_size >= 32
        ),
        "all, batch 1": lambda row: row.batch_size == 1,
        "all, batch >= 8": lambda row: row.batch_size >= 8,
    }
    for name, chosen in tests.items():
        here = [row for row in tested if chosen(row)]
        ms = predict(fitted, here)
        cover = float(_inside(ms, here, widths).mean())
        _add(table, f"A100 unseen: {name}", here, ms, cover)
    for name in ("all, batch >= 8", "all, batch 1"):
        here = [row for row in tested if tests[name](row)]
        ms, inside = _with_ten(fitted, here, here, widths, lambda tested, row: True)
        _add(table, f"A100, ten networks: {name}", here, ms, float(inside.mean()))
        ms, inside = _with_telling_ten(fitted, here)
        _add(table, f"A100, the ten most telling networks: {name}", here, ms, float(inside.mean()))
        ms, inside = _with_ten(fitted, here, tested, widths, lambda a, b: a.runtime == b.runtime)
        _add(table, f"A100, ten networks of each runtime: {name}", here, ms, float(inside.mean()))


def _not_a100(groups: Groups) -> Groups:
    return {group: e for group, e in groups.items() if not group[0].startswith("a100")}


def _with_ten(
    fitted: Fitted,
    tested: Sequence[Measured],
    offered: Sequence[Measured],
    widths: Widths,
    helps: Callable[[Measured, Measured], bool],
) -> tuple[Floats, Floats]:
    """Predict each model after ten offered rows of other models were measured.

    Args:
        fitted: The model.
        tested: Rows to predict.
        offered: Rows to draw from.
        widths: Half widths of the intervals without measurements.
        helps: Whether a tested row is corrected by an offered one.

    Returns:
        Predictions, and whether each row is inside the interval. Nothing is corrected if fewer
        than three rows help.
    """
    found = predict(fitted, tested)
    inside = _inside(found, tested, widths)
    rng = np.random.default_rng(0)
    for name, runtime in sorted({(row.name, row.runtime) for row in tested}):
        held = [i for i, r in enumerate(tested) if (r.name, r.runtime) == (name, runtime)]
        pool = [row for row in offered if row.name != name and helps(tested[held[0]], row)]
        if len(pool) >= FEWEST:
            found[held], inside[held] = _calibrated(fitted, pool, [tested[i] for i in held], rng)
    return found, inside


def _with_telling_ten(fitted: Fitted, tested: Sequence[Measured]) -> tuple[Floats, Floats]:
    """`_with_ten` with the ten most informative rows of other models (`most_certain`).

    This corrects several runtimes at once, where `nas measure` corrects one target: each runtime
    has an error of its own and one in common with the others.
    """
    runtimes = sorted({row.runtime for row in tested})
    n, k = len(runtimes), len(TERMS)
    shared: Floats = np.kron(np.ones((n, n)), PRIOR.covariance)
    own: Floats = np.kron(np.eye(n), np.full((k, k), OWN**2))
    prior = Prior(np.zeros(n * k), shared + own)
    where = [runtimes.index(row.runtime) for row in tested]
    features = (np.eye(n)[where][:, :, None] * terms(fitted, tested)[:, None]).reshape(-1, n * k)
    ms = np.array([row.ms for row in tested])
    found, inside = np.zeros(len(tested)), np.zeros(len(tested))
    for name in sorted({row.name for row in tested}):
        held = np.array([row.name == name for row in tested])
        offered = np.flatnonzero(~held)
        most = most_certain(features[offered], CALIBRATION, np.random.default_rng(0), prior)
        few = calibrate(features[offered[most]], ms[offered[most]], prior)
        found[held], inside[held] = _with_interval(few, features[held], ms[held])
    return found, inside


def _inside(ms: Floats, rows: Sequence[Measured], widths: Widths) -> Floats:
    """Which rows are inside the interval without measurements, (n,)."""
    off = np.abs(np.log([row.ms for row in rows] / ms))
    return np.asarray(off <= [_width(widths, row) for row in rows], dtype=np.float64)


def _fused(row: Measured) -> bool:
    return way_of(row.runtime) == "fused"


def _unseen_runtimes(
    rows: Sequence[Measured], within: Groups, devices: Groups, table: Table
) -> None:
    """Predict each runtime by a fit without it, with an interval from the other runtimes alone."""
    found = list(leave_runtimes_out(rows))
    for name, tested, ms in found:
        runtimes = {
            group: errors
            for _, others, predicted in found
            for group, errors in by_group(others, predicted).items()
        }
        known = (
            {group: errors for group, errors in groups.items() if group[1] != name}
            for groups in (within, devices, runtimes)
        )
        width = half_widths(*known)[f"runtime {way_of(name)}"]["0.9"]
        cover = covered(ms, np.array([row.ms for row in tested]), width)
        _add(table, f"{UNSEEN}: {name}", tested, ms, cover)


if __name__ == "__main__":
    main()
