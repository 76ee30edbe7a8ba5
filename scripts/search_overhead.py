"""The time that searchers themselves take, with thousands of evaluations from a table.

    python scripts/search_overhead.py --data DIR

`evolution` and `nsga2` are compared with pymoo's and Optuna's NSGA-II at their own populations
(100, 50), told one evaluation of NAS-Bench-201 after the other; `bayes` with Optuna's Gaussian
process, by the time of an ask after 200 observations. Times are of one thread and medians over
seeds. The script prints the searcher's own time and the processor time of the run; other programs
on the machine do not lengthen the latter.
"""

from __future__ import annotations

import argparse
import datetime
import os
import sys
import time
from pathlib import Path

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

import numpy as np  # noqa: E402
import results_file  # noqa: E402

from nas.bench.bench import Task, follow  # noqa: E402
from nas.bench.table_file import read_table  # noqa: E402
from nas.search import make_searcher  # noqa: E402
from nas.search.foreign.optuna import OptunaTool  # noqa: E402
from nas.search.foreign.pymoo import PymooTool  # noqa: E402
from nas.search.foreign.tool import ForeignSearcher, cardinalities_of  # noqa: E402
from nas.search.protocol import Searcher  # noqa: E402

QUICK = ("evolution", "nsga2", "random", "pymoo-nsga2", "optuna-nsga2")
MODELLED = ("bayes", "optuna-gp")


def searcher_of(task: Task, name: str, seed: int, evaluations: int) -> Searcher:
    """A searcher at its start; foreign NSGA-IIs have their default populations."""
    counts = cardinalities_of(task.table)
    brief = task.brief(seed, evaluations=evaluations)
    if name == "pymoo-nsga2":
        tool = PymooTool(counts, seed=seed, objectives=2, population=100)
        return ForeignSearcher(tool, brief, repeats=True)
    if name == "optuna-nsga2":
        study = OptunaTool(counts, "nsga2", seed=seed, objectives=2, population=50)
        return ForeignSearcher(study, brief, repeats=True)
    return make_searcher(name, brief)


def quick(task: Task, name: str, seeds: int, evaluations: int) -> dict[str, float]:
    """Seconds for many evaluations."""
    times = []
    for seed in range(seeds):
        searcher = searcher_of(task, name, seed, evaluations)
        start = time.process_time()
        _, seconds = follow(task.table, searcher, evaluations)
        times.append((seconds, time.process_time() - start))
    own, processor = np.median(times, axis=0)
    return {
        "evaluations": evaluations,
        "seconds": float(own),
        "processor_seconds_of_the_run": float(processor),
    }


def modelled(task: Task, name: str, seeds: int, observations: int, asks: int) -> dict[str, float]:
    """Seconds of an ask and a tell after some observations."""
    times = []
    for seed in range(seeds):
        searcher = searcher_of(task, name, seed, observations + asks)
        follow(task.table, searcher, observations)
        start = time.process_time()
        _, seconds = follow(task.table, searcher, asks)
        times.append((seconds / asks, (time.process_time() - start) / asks))
    own, processor = np.median(times, axis=0)
    return {
        "observations": observations,
        "seconds_per_ask": float(own),
        "processor_seconds_per_ask": float(processor),
    }


def main() -> None:
    """Time each searcher and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--data", type=Path, required=True, help="folder of the tables")
    parser.add_argument("--evaluations", type=int, default=5000)
    parser.add_argument("--observations", type=int, default=200)
    parser.add_argument("--asks", type=int, default=5, help="asks after the observations")
    parser.add_argument("--seeds", type=int, default=3, help="of optuna-gp only one is run")
    parser.add_argument("--searcher", nargs="+", default=[*QUICK, *MODELLED])
    arguments = parser.parse_args()
    path = arguments.data / "nb201_hw.csv.gz"
    table, _ = read_table(path, ["op_*"], maximize=["acc_cifar10"], minimize=["lat_titanx_32"])
    task = Task(table)
    figures: dict[str, dict[str, float]] = {}
    for name in arguments.searcher:
        seeds = 1 if name == "optuna-gp" else arguments.seeds
        if name in MODELLED:
            figures[name] = modelled(task, name, seeds, arguments.observations, arguments.asks)
        else:
            figures[name] = quick(task, name, seeds, arguments.evaluations)
        print(name, figures[name], flush=True)
    sys.argv = ["DIR" if argument == str(arguments.data) else argument for argument in sys.argv]
    date = datetime.date.today().isoformat()
    results_file.write("search", "overhead", figures, date=date, seeds=arguments.seeds)


if __name__ == "__main__":
    main()
