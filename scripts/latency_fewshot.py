"""Latency of a device from ten measured networks, tested on all columns of two public tables.

    python scripts/latency_fewshot.py --data DIR --seeds 10

DIR holds `nb201_hw.csv.gz` and `fbnet_latency.csv.gz`, see `nas_tables.py`. For each column and
seed, ten networks are drawn at random, or chosen before any latency is known; a fit to them
predicts all others. There are three settings for the prior knowledge:

    devices      the costs of operations on other devices of the same kind (all columns of the
                 tested device are left out, at any batch size)
    generations  as `devices`, but only from GPUs of the other generation (Pascal, Turing)
    trace        no device: only operations, FLOPs and bytes of the traced networks

For comparison, ordinary least squares on the same ten networks, and their median. `floor` is the
error of a least-squares fit to all networks at once, which is the noise of the column. Writes
`results/latency/fewshot.json` and `.md`.

Published: HELP (Lee et al. 2021, https://arxiv.org/abs/2106.08630) ranks with Spearman 0.932 and
0.910 from ten networks.
"""

from __future__ import annotations

import argparse
import datetime
from pathlib import Path
from typing import Any

import nas_tables
import numpy as np
import results_file
from nas_tables import Floats, Table
from scipy.stats import spearmanr

from nas.environment import environment
from nas.latency.profiles.choosing import most_certain
from nas.latency.profiles.correction import Prior, fit
from nas.latency.profiles.least_squares import fit_non_negative
from nas.storage import atomic_write

KINDS = ("gpu", "other", "not measured")
PUBLISHED = {"nasbench201": 0.932, "fbnet": 0.910}
SMALLEST = 0.03
"""A coefficient that was fitted as 0 is set to this share of the device's median coefficient."""
Row = dict[str, Any]


def main() -> None:
    """Test every space, column, setting, way to pick the ten networks, and seed."""
    arguments = _arguments()
    rows: list[Row] = []
    for space in nas_tables.FILES:
        table = nas_tables.read(arguments.data, space)
        known = {c: device_coefficients(table, c) for c in table.latency}
        for column in sorted(table.latency, key=lambda c: KINDS.index(nas_tables.kind(c))):
            found = column_rows(table, column, known, arguments.networks, arguments.seeds)
            for row in found:
                print(_line(row), flush=True)
            rows += found
    summary = [_mean(group) for group in _groups(rows)]
    name = "fewshot" if arguments.networks == 10 else f"fewshot-{arguments.networks}"
    text = _markdown(rows, summary, arguments)
    atomic_write(results_file.RESULTS / "latency" / f"{name}.md", text)
    figures = {"means over columns": summary}
    results_file.write("latency", name, figures, columns=rows, seeds=arguments.seeds)


def device_coefficients(table: Table, column: str) -> Floats:
    """The cost of each operation on a device, from all networks of its column, (k,)."""
    coefficients = fit_non_negative(nas_tables.operations(table), table.latency[column])
    return np.maximum(coefficients, SMALLEST * np.median(coefficients))


def column_rows(
    table: Table, column: str, known: dict[str, Floats], networks: int, seeds: int
) -> list[Row]:
    """The figures of one column: one row per setting and way to pick the networks."""
    ms = table.latency[column]
    floor = float(_error(nas_tables.operations(table) @ known[column], ms).mean())
    rows = []
    for setting, (features, prior) in _settings(table, column, known).items():
        for pick in ("random", "chosen"):
            figures = []
            for seed in range(seeds):
                rng = np.random.default_rng([seed, list(known).index(column)])
                if pick == "random":
                    ten = rng.choice(len(ms), networks, replace=False)
                else:
                    ten = most_certain(features, networks, rng, prior)
                figures.append(_figures(table, features, prior, ms, ten))
            rows.append(
                {
                    "space": table.space,
                    "column": column,
                    "kind": nas_tables.kind(column),
                    "setting": setting,
                    "ten": pick,
                    "floor": floor,
                    **{key: float(np.mean([f[key] for f in figures])) for key in figures[0]},
                    "mape_by_seed": [round(f["mape"], 5) for f in figures],
                }
            )
    return rows


def _settings(
    table: Table, column: str, known: dict[str, Floats]
) -> dict[str, tuple[Floats, Prior]]:
    """Terms of all networks, and the prior, for each setting that applies to the column."""
    kind, generations = nas_tables.kind(column), nas_tables.GENERATIONS
    own = nas_tables.device(column)
    like = "gpu" if kind == "gpu" else "other"
    others = [c for c in known if nas_tables.kind(c) == like and nas_tables.device(c) != own]
    operations = nas_tables.operations(table)
    settings = {"devices": (operations, _prior_of(np.array([known[c] for c in others])))}
    if kind == "gpu":
        far = [c for c in others if generations[nas_tables.device(c)] != generations[own]]
        prior = _prior_of(np.array([known[c] for c in far]))
        settings["generations"] = (operations, prior)
    traced = nas_tables.traced(table, nas_tables.batch_size(column))
    prior = Prior.around(np.ones(traced.shape[1]), spread=1.0, common=1.0)
    settings["trace"] = (traced, prior)
    return settings


def _prior_of(devices: Floats) -> Prior:
    """The mean of other devices' coefficients (devices, k), and how they differ.

    Beyond that each may differ by 5 %, and all together by a factor of e.
    """
    log = np.log(devices)
    differences = np.cov(log - log.mean(axis=1, keepdims=True), rowvar=False)
    return Prior(log.mean(axis=0), np.atleast_2d(differences) + 0.05**2 * np.eye(log.shape[1]) + 1)


def _figures(
    table: Table, features: Floats, prior: Prior, ms: Floats, ten: Any
) -> dict[str, float]:
    """Errors of the fit and of the baselines on all other networks."""
    unseen = np.ones(len(ms), dtype=bool)
    unseen[ten] = False
    prediction = fit(features[ten], ms[ten], prior).predict(features)
    inside = (prediction.low_ms <= ms) & (ms <= prediction.high_ms)
    figures = {
        "mape": _error(prediction.ms, ms)[unseen].mean(),
        "spearman": spearmanr(prediction.ms[unseen], ms[unseen]).statistic,
        "coverage": inside[unseen].mean(),
        "half_width": float(prediction.high_ms[0] / prediction.ms[0] - 1.0),
    }
    for name, counts in nas_tables.counts(table).items():
        weights = np.linalg.lstsq(counts[ten], ms[ten], rcond=None)[0]
        figures[f"least squares on {name}"] = _error(counts @ weights, ms)[unseen].mean()
    figures["median"] = _error(np.full(len(ms), np.median(ms[ten])), ms)[unseen].mean()
    return figures


def _error(predicted: Floats, measured: Floats) -> Floats:
    return np.abs(predicted / measured - 1.0)


def _groups(rows: list[Row]) -> list[list[Row]]:
    keys = dict.fromkeys((r["space"], r["kind"], r["setting"], r["ten"]) for r in rows)
    return [
        [r for r in rows if (r["space"], r["kind"], r["setting"], r["ten"]) == key] for key in keys
    ]


def _mean(rows: list[Row]) -> Row:
    """Means over columns, and the columns' worst rank correlation."""
    numbers = [key for key, value in rows[0].items() if isinstance(value, float)]
    return {
        **{key: rows[0][key] for key in ("space", "kind", "setting", "ten")},
        "columns": len(rows),
        **{key: float(np.mean([r[key] for r in rows])) for key in numbers},
        "worst_spearman": min(r["spearman"] for r in rows),
    }


def _baselines(row: Row) -> dict[str, float]:
    return {k: v for k, v in row.items() if k.startswith("least squares") or k == "median"}


def _line(row: Row) -> str:
    best = min(_baselines(row).values())
    return (
        f"{row['space']} {row.get('column', row['kind'])} {row['setting']} {row['ten']}: "
        f"Spearman {row['spearman']:.3f}, error {row['mape']:.2%} (floor {row['floor']:.2%}, "
        f"best baseline {best:.2%}), {row['coverage']:.1%} inside"
    )


def _markdown(rows: list[Row], summary: list[Row], arguments: argparse.Namespace) -> str:
    made = environment()
    today = datetime.datetime.now(datetime.UTC).date()
    lines = [
        f"# A device from {arguments.networks} measured networks",
        "",
        f"`python scripts/latency_fewshot.py --data DIR --networks {arguments.networks} "
        f"--seeds {arguments.seeds}` (seeds 0 to {arguments.seeds - 1}), {today};",
        f"{made['cpu']}, numpy {made['packages']['numpy']}, scipy {made['packages']['scipy']}. "
        "The script explains the columns. Means over seeds;",
        "HELP publishes Spearman "
        + ", ".join(f"{value} ({space})" for space, value in PUBLISHED.items())
        + " from ten networks.",
        "Columns that were not measured are simulated or sums of operators; some latencies",
        "of nasbench201's pixel3 and raspi4 are near zero: a relative error says little there.",
        "",
    ]
    for space in nas_tables.FILES:
        mine = [r for r in summary if r["space"] == space]
        names = list(_baselines(mine[0]))
        lines += [f"## {space}: means over columns", "", *_table(mine, names, "kind"), ""]
        mine = [r for r in rows if r["space"] == space]
        lines += [f"### {space}: each column", "", *_table(mine, names, "column"), ""]
    return "\n".join(lines)


def _table(rows: list[Row], baselines: list[str], first: str) -> list[str]:
    heads = [first, "setting", "ten", "Spearman", "error", "floor", "inside", "half-width"]
    lines = ["| " + " | ".join([*heads, *baselines]) + " |"]
    lines.append("|---" * (len(heads) + len(baselines)) + "|")
    for row in rows:
        label = f"{row['kind']} ({row['columns']})" if first == "kind" else row["column"]
        shares = [row[k] for k in ("mape", "floor", "coverage", "half_width", *baselines)]
        cells = [label, row["setting"], row["ten"], f"{row['spearman']:.3f}"]
        lines.append("| " + " | ".join([*cells, *(f"{100 * v:.2f} %" for v in shares)]) + " |")
    return lines


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the tables")
    parser.add_argument("--networks", type=int, default=10, help="how many networks are measured")
    parser.add_argument("--seeds", type=int, default=10)
    return parser.parse_args()


if __name__ == "__main__":
    main()
