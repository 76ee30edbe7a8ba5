"""`nas search`: the whole flow, from a space to an exported network and a report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from nas.cli import options
from nas.cli.values import (
    checked_hardware,
    latency_budgets,
    parsed,
    ray_choice,
    read_options,
    recipe_values,
    sides,
    target_choice,
)
from nas.run.steps import STEPS, Step

_SEARCH = "The search"
_STOCK = "Stock networks to compare with"


def search(
    budget: Annotated[
        list[str] | None,
        typer.Option(
            help="Longest latency of one batch, such as 5ms, 800us or 0.1s. For several budgets "
            "give a list, such as 2ms,5ms,10ms; one search finds the best network for each. "
            "Repeat the option for each --target, in the same order.",
            metavar="TIME[,TIME]",
            rich_help_panel=options.BUDGET,
        ),
    ] = None,
    max_params: options.MaxParams = None,
    max_macs: options.MaxMacs = None,
    max_memory: Annotated[
        str | None,
        typer.Option(
            help="Most memory for activations in float32, such as 16MiB.",
            metavar="MEMORY",
            rich_help_panel=options.BUDGET,
        ),
    ] = None,
    space: options.SpaceForImages = None,
    data: options.Data = "digits",
    out: Annotated[
        Path | None,
        typer.Option(
            help="The run's folder. If it holds a run with the same settings, that is continued.",
            show_default="a new one under results/",
        ),
    ] = None,
    seed: options.Seed = 0,
    json: options.Json = False,
    target: Annotated[
        list[str] | None,
        typer.Option(
            help="A device with its conditions, such as a100,batch=32. Give it "
            "instead of --hardware, --runtime, --precision, --layout, --batch-size and --threads. "
            "Repeat for more targets: a network keeps the budgets of all of them.",
            metavar="SPEC",
            rich_help_panel=options.TARGET,
        ),
    ] = None,
    hardware: Annotated[
        str | None,
        typer.Option(
            help="The device (see `nas hardware`).",
            show_default="cpu",
            rich_help_panel=options.TARGET,
        ),
    ] = None,
    runtime: options.Runtime = None,
    precision: options.Precision = None,
    layout: options.Layout = None,
    batch_size: options.BatchSize = None,
    resolution: options.Resolution = None,
    threads: options.Threads = None,
    confidence: options.Confidence = 0.9,
    splits: options.Splits = None,
    fit: options.FitTo = "crop",
    skip_unreadable: options.SkipUnreadable = False,
    layout_of_arrays: options.LayoutOfArrays = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Only print the space's latencies on the target and what share of it is within "
            "the budget.",
        ),
    ] = False,
    searcher: Annotated[
        str, typer.Option(help="The algorithm (see `nas searchers`).", rich_help_panel=_SEARCH)
    ] = "auto",
    evaluations: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Architectures to evaluate. By default 200, and 100 with a pretrained start, "
            "where each takes longer.",
            rich_help_panel=_SEARCH,
        ),
    ] = None,
    lag: Annotated[
        int,
        typer.Option(
            min=1,
            help="Architectures that are evaluated at once at most. It changes what is found.",
            rich_help_panel=_SEARCH,
        ),
    ] = 16,
    metric: Annotated[
        str | None,
        typer.Option(
            help="What to maximise: accuracy or balanced_accuracy; or loss, which is minimised.",
            show_default="the loss with pretrained weights, else the accuracy",
            rich_help_panel=_SEARCH,
        ),
    ] = None,
    until: Annotated[
        Step | None,
        typer.Option(
            help=f"Stop after a step: {', '.join(STEPS)}.", metavar="STEP", rich_help_panel=_SEARCH
        ),
    ] = None,
    pretrained: options.Pretrained = None,
    teacher: options.Teacher = None,
    unlabelled: options.Unlabelled = None,
    resolutions: options.Resolutions = None,
    epochs: options.Epochs = None,
    recipe: options.Recipe = None,
    mirror: options.Mirror = None,
    verify: Annotated[
        int,
        typer.Option(
            min=0,
            help="Networks to train alone after the search; they correct what the supernet says "
            "of all others, and the front is drawn anew. At least 5, or 0 for none.",
            rich_help_panel="Training",
        ),
    ] = 0,
    verify_epochs: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Epochs of each of them.",
            show_default="a third of those of a network trained from new weights; 4 with a "
            "pretrained start",
            rich_help_panel="Training",
        ),
    ] = None,
    retrain_top: Annotated[
        int,
        typer.Option(
            min=0, help="How many networks to retrain for each budget.", rich_help_panel="Training"
        ),
    ] = 1,
    retrain_epochs: options.RetrainEpochs = None,
    from_scratch: options.FromScratch = False,
    fine_tune: options.FineTune = None,
    baselines: Annotated[
        str,
        typer.Option(
            help="Stock networks to train on the same images and to compare with: auto (a few "
            "that fit the budget, for images larger than 40 px), none, or names of timm's models, "
            "such as resnet18,lcnet_100.",
            metavar="auto|none|NAME[,NAME]",
            rich_help_panel=_STOCK,
        ),
    ] = "auto",
    baseline_epochs: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Epochs of each stock network.",
            show_default="as many as the best network has had",
            rich_help_panel=_STOCK,
        ),
    ] = None,
    ray: options.Ray = None,
    workers: options.Workers = None,
    worker_cpus: options.WorkerCpus = None,
    worker_gpus: options.WorkerGpus = None,
    journal: options.Journal = None,
    storage: options.Storage = None,
) -> None:
    """Find the most accurate networks within a latency budget, retrain the best and export it.

    Every step is run, except for what the cache has: the supernet of this space and data, and the
    measured latencies of this machine. A GPU need not be at hand: its latencies are predicted.

    Example: nas search --hardware cpu --budget 5ms --max-params 2M --data folder:my-images
    """
    from nas.settings import Settings
    from nas.units import parse_count, parse_memory

    flat = {
        "hardware": hardware,
        "runtime": runtime,
        "precision": precision,
        "layout": layout,
        "batch_size": batch_size,
        "threads": threads,
    }

    cluster = ray_choice(ray, workers, worker_cpus, worker_gpus, storage)
    settings = Settings(
        space=space,
        data=data,
        reading=read_options(splits, fit, skip_unreadable, layout_of_arrays),
        seed=seed,
        targets=_targets(target, {k: v for k, v in flat.items() if v is not None}, budget),
        resolution=resolution,
        resolutions=sides(resolutions),
        max_macs=parsed(parse_count, max_macs),
        max_params=parsed(parse_count, max_params),
        max_memory_mib=parsed(parse_memory, max_memory),
        confidence=confidence,
        searcher=searcher,
        evaluations=evaluations,
        lag=lag,
        metric=metric,
        pretrained=pretrained,
        teacher=teacher,
        unlabelled=unlabelled,
        epochs=epochs,
        recipe=recipe_values(recipe, mirror),
        verify=verify,
        verify_epochs=verify_epochs,
        retrain_top=retrain_top,
        retrain_epochs=retrain_epochs,
        from_scratch=from_scratch,
        fine_tune=fine_tune,
        baselines=tuple(name.strip() for name in baselines.split(",")),
        baseline_epochs=baseline_epochs,
    )

    from nas.cli.console import show_outcome, show_result, working

    if dry_run:
        _refuse_folder(out, until)

        from nas.commands import dry_run as dry

        with working() as console:
            outcome = dry.dry_run(settings, console=console)
        return show_outcome(outcome, json)

    from nas import pipeline

    with working() as console:
        result = pipeline.run(
            settings, out=out, until=until, console=console, ray=cluster, journal=journal
        )
    return show_result(result, json)


def _targets(
    specs: list[str] | None, flat: dict[str, Any], budgets: list[str] | None
) -> list[dict[str, Any]]:
    """Each target's fields and budgets, from --target or from --hardware and its like."""
    from nas.errors import SettingsError

    if specs and flat:
        given = ", ".join(f"--{name.replace('_', '-')}" for name in flat)
        raise SettingsError(
            f"--target names a whole target, so leave out {given}; write for example "
            "--target a100,batch=32,precision=fp16."
        )
    if specs:
        targets: list[dict[str, Any]] = [target_choice(spec) for spec in specs]
    else:
        targets = [{**flat, "hardware": checked_hardware(flat.get("hardware", "cpu"))}]
    lists = latency_budgets(budgets, specs or [targets[0]["hardware"]])
    return [{**fields, "budgets_ms": ms} for fields, ms in zip(targets, lists, strict=True)]


def _refuse_folder(out: Path | None, until: Step | None) -> None:
    from nas.errors import SettingsError

    given = [name for name, value in (("--out", out), ("--until", until)) if value is not None]
    if given:
        raise SettingsError(
            f"A dry run writes no folder and takes no steps: leave out {' and '.join(given)}, or "
            "--dry-run."
        )
