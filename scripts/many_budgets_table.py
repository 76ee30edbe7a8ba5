"""One search that answers five budgets, against five searches, on a table.

    python scripts/many_budgets_table.py --table nb201_hw.csv.gz --searcher auto --evaluations 200

The same comparison as `many_budgets.py`, which searches a supernet. Here evaluations are looked
up, so that many seeds take minutes. Regret is the distance to the best row within each budget.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import results_file

from nas.bench.table import Table
from nas.bench.table_file import read_table
from nas.search import Brief, make_searcher
from nas.search.protocol import Codes, Floats

PERCENTILES = (15, 30, 50, 70, 90)
WAYS = ("together", "alone")


def main() -> None:
    """Compare on each latency column."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--code-columns", default="op_*")
    parser.add_argument("--accuracy", default="acc_cifar10", help="in %%")
    parser.add_argument(
        "--latency",
        nargs="+",
        default=["lat_raspi4", "lat_titanx_32", "lat_gold_6240", "lat_1080ti_256"],
    )
    parser.add_argument("--searcher", default="auto")
    parser.add_argument("--evaluations", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=10)
    arguments = parser.parse_args()
    columns = {}
    for column in arguments.latency:
        table, _ = read_table(
            arguments.table,
            [arguments.code_columns],
            maximize=[arguments.accuracy],
            minimize=[column],
        )
        columns[column] = _compare(
            table, arguments.searcher, arguments.evaluations, arguments.seeds
        )
        print(column, columns[column], flush=True)
    every = [one["difference"] for one in columns.values()]
    seconds = {way: np.mean([c["seconds"][way] for c in columns.values()]) for way in WAYS}
    figures = {
        "mean_difference": float(np.mean(every)),
        "least_mean_difference": float(np.min(every)),
        "searcher_seconds": {way: float(value) for way, value in seconds.items()},
    }
    name = f"many-budgets-{arguments.table.name.partition('.')[0]}-{arguments.searcher}"
    conditions = {"evaluations": arguments.evaluations, "seeds": arguments.seeds}
    results_file.write(
        "search",
        f"{name}-{arguments.evaluations}",
        figures,
        percentiles=PERCENTILES,
        columns=columns,
        **conditions,
    )


def _compare(table: Table, searcher: str, evaluations: int, seeds: int) -> dict[str, object]:
    """By budget: mean regret of both ways and their mean difference, in points of accuracy."""
    accuracy, latency = (column.values for column in table.columns)
    budgets = np.percentile(latency, PERCENTILES)
    best = np.array([accuracy[latency <= budget].max() for budget in budgets])
    found: dict[str, list[Floats]] = {way: [] for way in WAYS}
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    for seed in range(seeds):
        for way, asked in (("together", [budgets]), ("alone", list(budgets[:, None]))):
            started = time.process_time()
            rows = [_search(table, each, searcher, evaluations, seed) for each in asked]
            seconds[way].append((time.process_time() - started) / len(asked))
            answers = [
                max(accuracy[row] for row in taken if latency[row] <= budget)
                for each, taken in zip(asked, rows, strict=True)
                for budget in each
            ]
            found[way].append(np.array(answers))
    together, alone = (np.array(found[way]) for way in WAYS)
    differences = together - alone
    return {
        "budgets": budgets.tolist(),
        "best": best.tolist(),
        "regret": {way: (best - np.mean(found[way], axis=0)).tolist() for way in WAYS},
        "difference": differences.mean(axis=0).tolist(),
        "standard_error": (differences.std(axis=0, ddof=1) / seeds**0.5).tolist(),
        "seconds": {way: float(np.mean(seconds[way])) for way in WAYS},
    }


def _search(table: Table, budgets: Floats, name: str, evaluations: int, seed: int) -> list[int]:
    """The rows that a search for all of the budgets takes."""
    latency = table.columns[1].values

    def excess(codes: Codes) -> Floats:
        return latency[table.rows(codes)][:, None] / budgets - 1.0

    brief = Brief(
        table,
        seed,
        constraints=lambda codes: excess(codes).min(axis=1, keepdims=True),
        known_objectives=lambda codes: latency[table.rows(codes)][:, None],
        excess_by_set=excess if len(budgets) > 1 else None,
        evaluations=evaluations,
    )
    searcher = make_searcher(name, brief)
    rows: list[int] = []
    while len(rows) < evaluations and len(codes := searcher.ask(1)):
        rows.append(int(table.rows(codes)[0]))
        searcher.tell(codes, table.objectives[rows[-1:]])
    return rows


if __name__ == "__main__":
    main()
