"""`nas rank`: whether the supernet of a run ranks networks as training each alone does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from nas.cli import options
from nas.cli.values import ray_choice

if TYPE_CHECKING:
    from nas.ranking.agreement import Estimate
    from nas.ranking.result import Ranking


def rank(
    run: options.Run,
    networks: Annotated[
        int,
        typer.Option(
            min=3, help="Networks to train alone; those of an earlier call are not repeated."
        ),
    ] = 12,
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Epochs of each training.",
            show_default="a third of those of a network trained from new weights; 4 with a "
            "pretrained start",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Of every random choice.", show_default="the run's"),
    ] = None,
    json: options.Json = False,
    ray: options.Ray = None,
    workers: options.Workers = None,
    worker_cpus: options.WorkerCpus = None,
    worker_gpus: options.WorkerGpus = None,
    storage: options.Storage = None,
) -> None:
    """Train networks of a run alone, and say how well its supernet ranks them.

    The networks are spread over cost and over what the supernet says, and some are on the front.
    They see the training images only, and are judged on the validation images. The table gives
    rank correlations, the regret and nDCG of the supernet's scores beside those of parameters,
    multiply-adds and predicted latency, with 90 % intervals. If it is interrupted, the same
    command continues.

    Example: nas rank results/my-run --networks 20
    """
    cluster = ray_choice(ray, workers, worker_cpus, worker_gpus, storage)

    from nas.cli.console import show_json, show_lines, show_table, working
    from nas.commands.rank import rank as command

    with working() as console:
        ranking = command(
            run, networks=networks, epochs=epochs, seed=seed, console=console, ray=cluster
        )
    if json:
        return show_json(ranking.to_dict())
    count = len(ranking.networks)
    show_table(f"How well scores rank {count} networks trained alone", *_table(ranking))
    show_lines(
        [
            "With 90 % intervals, from bootstraps of the networks.",
            f"Each was {ranking.recipe}.",
        ]
    )


def _table(ranking: Ranking) -> tuple[list[str], list[list[str]]]:
    """Columns and rows."""

    def shown(figure: Estimate, factor: float = 1.0) -> str:
        value, low, high = (factor * each for each in (figure.value, figure.low, figure.high))
        digits = 2 if factor == 1.0 else 1
        return f"{value:.{digits}f}\n({low:.{digits}f} to {high:.{digits}f})"

    rows = [
        [
            each.score,
            shown(each.tau),
            shown(each.spearman),
            shown(each.regret, 100.0),
            shown(each.ndcg),
            shown(each.behind),
        ]
        for each in ranking.agreements
    ]
    columns = ["score", "Kendall tau", "Spearman", "top-5 regret, points", "nDCG"]
    return [*columns, "tau below the first"], rows
