"""`nas retrain`: train networks of a front to the end, and score the test split once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from nas.cli import options
from nas.cli.values import parsed, ray_choice, recipe_values, tuned_ranges

if TYPE_CHECKING:
    from nas.cluster.trials import Manner, Tuning

_RECIPE = "How they are trained"


def retrain(
    run: options.Run,
    top: Annotated[
        int,
        typer.Option(min=1, help="How many networks for each budget, the most accurate first."),
    ] = 1,
    fine_tune: options.FineTune = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Of every random choice.", show_default="the run's"),
    ] = None,
    json: options.Json = False,
    epochs: options.RetrainEpochs = None,
    from_scratch: options.FromScratch = False,
    recipe: Annotated[
        list[str] | None,
        typer.Option(
            help="Change how the networks are trained, such as learning_rate=0.002 or "
            "layer_decay=0.8; repeat for more.",
            metavar="KEY=VALUE",
            rich_help_panel=_RECIPE,
        ),
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option(
            help="A network whose answers they learn besides the labels: largest (of the "
            "supernet), RUN/ID, or the folder of an exported network. It is asked once.",
            metavar="NETWORK",
            rich_help_panel=_RECIPE,
        ),
    ] = None,
    ray: options.Ray = None,
    workers: options.Workers = None,
    worker_cpus: options.WorkerCpus = None,
    worker_gpus: options.WorkerGpus = None,
    storage: options.Storage = None,
    workers_per_network: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="How many of the workers train one network together; the others train others.",
            show_default="1",
            rich_help_panel=options.CLUSTER,
        ),
    ] = None,
    limit: Annotated[
        str | None,
        typer.Option(
            help="The longest time of one training, such as 90min or 12h; then it is ended.",
            metavar="TIME",
            show_default="none",
            rich_help_panel=options.CLUSTER,
        ),
    ] = None,
    tune: Annotated[
        str | None,
        typer.Option(
            help="Values of the recipe to search for each network with Optuna, such as "
            "drop_path=0..0.2.",
            metavar="KEY=LOW..HIGH",
            rich_help_panel=options.CLUSTER,
        ),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Trainings of each network with --tune; the best one is kept.",
            show_default="16",
            rich_help_panel=options.CLUSTER,
        ),
    ] = None,
    early_stop: Annotated[
        bool,
        typer.Option(
            "--early-stop",
            help="Stop trainings that are behind the others (ASHA).",
            rich_help_panel=options.CLUSTER,
        ),
    ] = False,
) -> None:
    """Train the best networks of a run's front to the end, and score them on the test images.

    They are trained like the networks that the run retrained, unless options say otherwise. They
    are exported and compared with the other networks; `nas report RUN` writes the page again.

    Example: nas retrain results/my-run --top 3 --from-scratch
    """
    cluster = ray_choice(ray, workers, worker_cpus, worker_gpus, storage)
    given = {
        "--workers-per-network": workers_per_network,
        "--limit": limit,
        "--tune": tune,
        "--trials": trials,
        "--early-stop": early_stop,
    }
    if cluster is None:
        _refuse({name: value for name, value in given.items() if value})
    if trials is not None and tune is None:
        _refuse({"--trials": trials}, "--tune")

    from nas.cli.console import show_result, working
    from nas.commands import steps as commands
    from nas.run.retraining import Retraining

    how = Retraining(
        seed=seed,
        epochs=epochs,
        from_scratch=from_scratch,
        fine_tune=fine_tune,
        recipe=recipe_values(recipe),
        teacher=teacher,
        manner=_manner(workers_per_network or 1, limit, early_stop),
        tuning=None if tune is None else _tuning(tune, trials or 16),
    )
    with working() as console:
        result = commands.retrain(run, top=top, how=how, console=console, ray=cluster)
    show_result(result, json)


def _manner(workers: int, limit: str | None, early: bool) -> Manner:
    from nas.cluster.trials import Manner
    from nas.units import parse_duration

    limit_ms = parsed(parse_duration, limit)
    return Manner(workers, None if limit_ms is None else limit_ms / 1000, early=early)


def _tuning(ranges: str, trials: int) -> Tuning:
    from nas.cluster.trials import Tuning

    return Tuning(tuned_ranges(ranges), trials)


def _refuse(given: dict[str, object], needs: str = "--ray local or --ray ADDRESS") -> None:
    """Refuse options that go with another one, which was not given."""
    from nas.errors import SettingsError

    if given:
        raise SettingsError(f"{', '.join(given)} needs {needs}. Add it, or leave the option out.")
