"""`nas bench`: searchers on a table of a whole search space."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas.cli import options
from nas.cli.values import ray_choice

if TYPE_CHECKING:
    from nas.bench.bench import Result

_DEFAULT = "auto"
_COLUMNS = (
    "searcher",
    "share",
    "area",
    "regret",
    "repeats",
    "infeasible",
    "ms each",
)


def bench(
    table: Annotated[
        Path, typer.Option(help="A CSV file, .csv or .csv.gz: one architecture per row.")
    ],
    code_columns: Annotated[
        list[str],
        typer.Option(
            help="A column that is part of the architecture, or a pattern such as 'op_*'; repeat "
            "for more. Its values are categories.",
            metavar="NAME|PATTERN",
        ),
    ],
    maximize: Annotated[
        list[str] | None,
        typer.Option(
            help="A column to maximise, such as the accuracy; repeat for more. A searcher learns "
            "the first one row by row; all others are known to it beforehand.",
            metavar="COLUMN",
        ),
    ] = None,
    minimize: Annotated[
        list[str] | None,
        typer.Option(
            help="A column to minimise, such as the latency; repeat for more.", metavar="COLUMN"
        ),
    ] = None,
    searcher: Annotated[
        list[str] | None,
        typer.Option(
            help="An algorithm (see `nas searchers`); repeat to compare several. Those of other "
            "projects (optuna-, pymoo-, nni-) work as they do by themselves, repeats included.",
            metavar="NAME",
            show_default=_DEFAULT,
        ),
    ] = None,
    evaluations: Annotated[int, typer.Option(min=1, help="Rows to evaluate in each run.")] = 200,
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each searcher.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="The first run's seed; the next add one.")] = 0,
    budget: Annotated[
        float | None,
        typer.Option(
            help="The largest value allowed of the first --minimize column that is not the "
            "first objective, in its unit.",
            metavar="NUMBER",
        ),
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(
            help="Write the row numbers that were evaluated, in order, as JSON: a list per seed."
        ),
    ] = None,
    ray: options.Ray = None,
    workers: options.Workers = None,
    worker_cpus: options.WorkerCpus = None,
    worker_gpus: options.WorkerGpus = None,
    json: options.Json = False,
) -> None:
    """Compare searchers where every architecture of a space has been trained and measured.

    Prints means over the seeds. share: how much of the true hypervolume was found (up to accuracy
    0 and the largest latency). area: its mean over the evaluations. regret: the difference between
    the best row within the budget and the best one found. repeats: evaluations of a known row.
    With --ray each seed is a task of its own.

    Example: nas bench --table nb201.csv.gz --code-columns 'op_*' --maximize acc --minimize lat
    """
    from nas.bench.bench import Task, bench, check
    from nas.bench.table_file import read_table
    from nas.cli.console import show_json, working
    from nas.cluster.connection import connected_if
    from nas.cluster.mapping import map_on
    from nas.storage import check_file

    if record is not None:
        check_file(record)
    names = list(dict.fromkeys(searcher or [_DEFAULT]))
    for name in names:
        check(name)
    rows, notes = read_table(table, code_columns, maximize=maximize or [], minimize=minimize or [])
    task = Task(rows, budget)
    results = []
    choice = ray_choice(ray, workers, worker_cpus, worker_gpus, None)
    with working() as console, connected_if(choice) as cluster:
        what = f"{rows.size():,} rows, {rows.num_genes} genes"
        within = f", {int(task.feasible.sum()):,} within the budget" if budget is not None else ""
        console.step(f"Benchmark: {what}{within}")
        for note in notes:
            console.say(note)
        if evaluations > (usable := int(task.feasible.sum())):
            console.say(
                f"that is fewer than the {evaluations} evaluations: a run ends when all "
                f"{usable:,} are evaluated"
            )
        for name in names:
            with console.task(name, seeds) as advance:
                results.append(
                    bench(
                        task,
                        name,
                        evaluations=evaluations,
                        seeds=range(seed, seed + seeds),
                        progress=advance,
                        each=map if cluster is None else map_on(cluster),
                    )
                )
    if json:
        documents = [result.to_dict() for result in results]
        show_json(documents if len(documents) > 1 else documents[0])
    else:
        _show(results, rows.columns[0].name)
    if record is not None:  # last, so that the figures are shown even if it cannot be written
        _write_record(record, results)


def _write_record(path: Path, results: Sequence[Result]) -> None:
    """`[[rows of seed 0], ...]`; by searcher where there are several."""
    import json

    from nas.storage import atomic_write

    rows = {result.searcher: [run.rows for run in result.runs] for result in results}
    content: Any = rows if len(rows) > 1 else next(iter(rows.values()))
    atomic_write(path, json.dumps(content) + "\n")


def _show(results: Sequence[Result], objective: str) -> None:
    from nas.cli.console import show_table

    title = (
        f"{results[0].evaluations} evaluations, {len(results[0].runs)} seeds: "
        f"share of the true hypervolume, regret of {objective}"
    )
    show_table(title, _COLUMNS, [_row(result.to_dict()) for result in results])


def _row(figures: dict[str, Any]) -> tuple[str, ...]:
    return (
        figures["searcher"],
        f"{figures['hypervolume_share']:.4f}",
        f"{figures['area']:.4f}",
        f"{figures['regret']:.4g}",
        str(figures["duplicates"]),
        str(figures["infeasible"]),
        f"{1000 * figures['seconds_per_evaluation']:.3g}",
    )
