"""Compares searchers on tables of whole search spaces, where the exact front is known.

    python scripts/search_benchmarks.py --data DIR --seeds 20 --jobs 2 --cache runs.jsonl

DIR holds nb201_hw.csv.gz (accuracy against eight latencies), accel_nasbench.csv.gz and
nas_bench_macro_cifar10.csv.gz. Every searcher is run once with the largest --evaluations and
scored at each of them. Those that plan for the number of evaluations (`PLANNERS`) are run for each
number. Tables with a minimised column are also searched under a budget, its 25th percentile.

Finished runs are kept in --cache, so the script can be stopped and started again. Runs from
several environments can share a cache: NNI needs old packages and is best installed separately.
After a searcher has changed, --again NAME drops its cached runs.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import sys
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

import numpy as np  # noqa: E402
import results_file  # noqa: E402

from nas.bench.bench import Result, Task, check, run  # noqa: E402
from nas.bench.bench import Run as Found  # noqa: E402
from nas.bench.scores import Judge  # noqa: E402
from nas.bench.table_file import read_table  # noqa: E402
from nas.environment import version  # noqa: E402
from nas.search import SEARCHERS  # noqa: E402

PLANNERS = ("nsga2", "regularized", "predictor", "latency-slimming")
LATENCIES = (
    "1080ti_256",
    "2080ti_1",
    "titanx_32",
    "gold_6240",
    "silver_4114",
    "pixel3",
    "raspi4",
    "samsung_a50",
)


@dataclass(frozen=True)
class Problem:
    """A table and its objectives."""

    file: str
    codes: str
    maximize: tuple[str, ...]
    minimize: tuple[str, ...]


PROBLEMS = {
    **{
        f"nb201-{name}": Problem("nb201_hw", "op_*", ("acc_cifar10",), (f"lat_{name}",))
        for name in LATENCIES
    },
    "accel-nasbench": Problem("accel_nasbench", "block*_*", ("val_top1", "throughput_a100"), ()),
    "nas-bench-macro": Problem("nas_bench_macro_cifar10", "arch", ("mean_acc",), ("flops",)),
}


@dataclass(frozen=True)
class Key:
    """One run."""

    problem: str
    budgeted: bool
    searcher: str
    evaluations: int
    seed: int


@lru_cache(maxsize=4)
def task_of(data: Path, problem: str, budgeted: bool) -> Task:
    """The table, with the 25th percentile of its minimised column as budget if `budgeted`."""
    about = PROBLEMS[problem]
    path = data / f"{about.file}.csv.gz"
    table, _ = read_table(path, [about.codes], maximize=about.maximize, minimize=about.minimize)
    return Task(table, float(np.quantile(table.columns[1].values, 0.25)) if budgeted else None)


def work(data: Path, key: Key) -> tuple[Key, list[int], float]:
    """Make one run."""
    task = task_of(data, key.problem, key.budgeted)
    found = run(task, key.searcher, evaluations=key.evaluations, seed=key.seed)
    return key, found.rows, found.seconds


def main() -> None:
    """Make the runs that are missing, then the tables."""
    arguments = parsed()
    for name in arguments.searcher:
        _ = SEARCHERS[name]  # an unknown name ends here, before any run
    cache = read_cache(arguments.cache, arguments.again)
    wanted = keys_of(arguments)
    missing = [key for key in wanted if key not in cache]
    for name in {key.searcher for key in missing}:
        check(name)
    print(f"{len(wanted)} runs, {len(missing)} of them to make", flush=True)
    make(arguments, missing, cache)
    if not arguments.no_tables:
        shown = {key.searcher for key in wanted}
        arguments.searcher = [name for name in arguments.searcher if name in shown]
        write(arguments, wanted, cache)


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--data", type=Path, required=True, help="folder of the tables")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument(
        "--seeds-of",
        action="append",
        default=[],
        metavar="NAME=N",
        help="fewer for a slow searcher",
    )
    parser.add_argument("--searcher", nargs="+", default=["auto", "evolution", "random"])
    parser.add_argument("--evaluations", type=int, nargs="+", default=[50, 100, 200])
    parser.add_argument("--problem", nargs="+", default=list(PROBLEMS), choices=list(PROBLEMS))
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--cache", type=Path, default=Path("search-benchmarks.jsonl"))
    parser.add_argument("--again", nargs="*", default=[], help="searchers to run anew")
    parser.add_argument("--name", default="tables", help="results/search/NAME.json and .md")
    parser.add_argument("--no-tables", action="store_true", help="only fill the cache")
    return parser.parse_args()


def keys_of(arguments: argparse.Namespace) -> list[Key]:
    """Every run that the tables need, the first seeds of all first."""
    few = dict(item.split("=") for item in arguments.seeds_of)
    keys = []
    for seed in range(arguments.seeds):
        for name in arguments.searcher:
            if seed >= int(few.get(name, arguments.seeds)):
                continue
            plans = arguments.evaluations if name in PLANNERS else [max(arguments.evaluations)]
            keys += [
                Key(problem, budgeted, name, evaluations, seed)
                for problem in arguments.problem
                for budgeted in ((False, True) if PROBLEMS[problem].minimize else (False,))
                for evaluations in plans
            ]
    return keys


def read_cache(path: Path, again: list[str]) -> dict[Key, Found]:
    """Finished runs; those of `again` are dropped from the file too."""
    lines = path.read_text().splitlines() if path.exists() else []
    entries = [json.loads(line) for line in lines if line.endswith("}")]
    kept = [entry for entry in entries if entry["key"]["searcher"] not in again]
    if len(kept) < len(lines):
        path.write_text("".join(json.dumps(entry) + "\n" for entry in kept))
    return {
        Key(**entry["key"]): Found(entry["key"]["seed"], entry["rows"], entry["seconds"])
        for entry in kept
    }


def make(arguments: argparse.Namespace, missing: list[Key], cache: dict[Key, Found]) -> None:
    """Make runs in processes of one thread, each written down when it ends."""
    if not missing:
        return
    spent: dict[str, float] = defaultdict(float)
    context = get_context("spawn")
    with (
        arguments.cache.open("a") as file,
        ProcessPoolExecutor(arguments.jobs, mp_context=context) as pool,
    ):
        futures = [pool.submit(work, arguments.data, key) for key in missing]
        try:
            for done, future in enumerate(as_completed(futures), 1):
                key, rows, seconds = future.result()
                cache[key] = Found(key.seed, rows, seconds)
                entry = {"key": asdict(key), "rows": rows, "seconds": seconds}
                file.write(json.dumps(entry) + "\n")
                file.flush()
                spent[key.searcher] += seconds
                if done % 50 == 0 or done == len(futures):
                    times = ", ".join(f"{name} {s:.0f} s" for name, s in spent.items())
                    print(f"{done} of {len(futures)}: {times}", flush=True)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def write(arguments: argparse.Namespace, wanted: list[Key], cache: dict[Key, Found]) -> None:
    """`results/search/NAME.json` and `.md`."""
    groups: dict[tuple[str, bool, str, int], list[Found]] = defaultdict(list)
    for key in wanted:
        counts = [key.evaluations] if key.searcher in PLANNERS else arguments.evaluations
        for count in counts:
            groups[key.problem, key.budgeted, key.searcher, count].append(cache[key])
    figures = []
    judges: dict[tuple[str, bool], Judge] = {}
    for (problem, budgeted, searcher, count), runs in groups.items():
        task = task_of(arguments.data, problem, budgeted)
        if (problem, budgeted) not in judges:
            judges[problem, budgeted] = Judge(task.table, task.feasible)
        scores = tuple(judges[problem, budgeted].score(found.rows, count) for found in runs)
        result = Result(searcher, count, tuple(runs), scores).to_dict()
        result["ms"] = 1000 * result.pop("seconds_per_evaluation")
        del result["evaluated"]
        figures.append({"problem": problem, "budget": task.budget, **result})
    sys.argv = [hidden(argument, arguments) for argument in sys.argv]
    date = datetime.date.today().isoformat()
    versions = {name: version(name) for name in ("optuna", "pymoo", "nni", "moocore", "numpy")}
    path = results_file.write("search", arguments.name, figures, date=date, peers=versions)
    text = page(arguments, figures, date, versions)
    path.with_suffix(".md").write_text(text)
    print(text)


def hidden(argument: str, arguments: argparse.Namespace) -> str:
    """An argument without the folders of one machine."""
    return {str(arguments.data): "DIR", str(arguments.cache): "FILE"}.get(argument, argument)


def page(
    arguments: argparse.Namespace,
    figures: list[dict[str, Any]],
    date: str,
    versions: dict[str, Any],
) -> str:
    """The figures as tables to read."""
    by = {
        (f["problem"], f["budget"] is not None, f["searcher"], f["evaluations"]): f
        for f in figures
    }
    command = " ".join(["python", "scripts/search_benchmarks.py", *sys.argv[1:]])
    lines = [
        "# Searchers on tables of whole search spaces",
        "",
        f"`{command}`, {date}, " + ", ".join(f"{k} {v}" for k, v in versions.items() if v) + ".",
        "Means over the seeds; a latency is known to the searcher beforehand, an accuracy is",
        "evaluated. The hypervolume counts from accuracy 0 and the table's largest latency.",
        "",
    ]
    last = [max(arguments.evaluations)]
    for title, budgeted, figure, digits, counts in (
        ("Share of the true hypervolume", False, "hypervolume_share", 4, None),
        ("Regret under a budget, the 25th percentile of the minimised", True, "regret", 3, None),
        ("Area under the share over the evaluations", False, "area", 4, last),
        ("Regret without a budget", False, "regret", 3, last),
        ("Repeated evaluations, all seeds", False, "duplicates", 0, last),
        ("Repeated evaluations under the budget, all seeds", True, "duplicates", 0, last),
        ("Infeasible evaluations under the budget, all seeds", True, "infeasible", 0, last),
        ("Milliseconds per evaluation, the searcher alone", False, "ms", 2, last),
        ("Milliseconds per evaluation under the budget", True, "ms", 2, last),
    ):
        for count in sorted(counts or arguments.evaluations):
            names = [n for n in arguments.problem if not budgeted or PROBLEMS[n].minimize]
            if names:
                lines += [f"## {title}: {count} evaluations", ""]
                lines += rows_of(by, names, arguments.searcher, budgeted, count, figure, digits)
                lines += comparison(by, names, arguments.searcher, budgeted, count, figure)
    seeds = {
        name: {f["seeds"] for f in figures if f["searcher"] == name} for name in arguments.searcher
    }
    told = "; ".join(f"{name}: {max(counts)}" for name, counts in seeds.items() if counts)
    return "\n".join([*lines, f"Seeds: {told}.", ""])


def rows_of(
    by: dict[tuple[str, bool, str, int], dict[str, Any]],
    problems: list[str],
    searchers: list[str],
    budgeted: bool,
    count: int,
    figure: str,
    digits: int,
) -> list[str]:
    """One table: a row for each problem and one for the mean over NAS-Bench-201."""

    def row(label: str, values: list[float]) -> str:
        return "| " + " | ".join([label, *(f"{value:.{digits}f}" for value in values)]) + " |"

    def cells(problem: str) -> list[float]:
        return [by[problem, budgeted, name, count][figure] for name in searchers]

    head = "| | " + " | ".join(searchers) + " |"
    lines = [head, "|---|" + "---:|" * len(searchers)]
    lines += [row(problem, cells(problem)) for problem in problems]
    columns = [problem for problem in problems if problem.startswith("nb201")]
    if len(columns) > 1:
        means = np.mean([cells(problem) for problem in columns], axis=0)
        lines.append(row(f"**mean of the {len(columns)} nb201**", means.tolist()))
    return [*lines, ""]


def comparison(
    by: dict[tuple[str, bool, str, int], dict[str, Any]],
    problems: list[str],
    searchers: list[str],
    budgeted: bool,
    count: int,
    figure: str,
) -> list[str]:
    """A sentence: the number of problems on which the first searcher beats every foreign one."""
    first, peers = searchers[0], [name for name in searchers if SEARCHERS[name].package]
    if figure not in ("hypervolume_share", "regret") or SEARCHERS[first].package or not peers:
        return []

    def value(problem: str, name: str) -> float:
        return by[problem, budgeted, name, count][figure] * (-1 if figure == "regret" else 1)

    ahead = [p for p in problems if value(p, first) > max(value(p, name) for name in peers)]
    behind = [problem for problem in problems if problem not in ahead]
    told = f"`{first}` is ahead of every foreign searcher on {len(ahead)} of {len(problems)}"
    return [told + (f"; not on {', '.join(behind)}." if behind else "."), ""]


if __name__ == "__main__":
    main()
