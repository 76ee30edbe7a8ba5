"""`nas evolve-space`: a space whose ranges follow what its own supernet says of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas.cli import options
from nas.cli.values import checked_hardware, parsed, read_options, recipe_values


def evolve_space(
    space: options.Space = "hybrid-tiny",
    data: options.Data = "digits",
    generations: Annotated[int, typer.Option(min=1, help="How many spaces to make.")] = 3,
    evaluations: Annotated[
        int, typer.Option(min=10, help="Architectures to evaluate in each generation.")
    ] = 200,
    budget: Annotated[
        str | None,
        typer.Option(
            help="Longest latency of one batch, such as 5ms.",
            metavar="TIME",
            rich_help_panel=options.BUDGET,
        ),
    ] = None,
    max_params: options.MaxParams = None,
    max_macs: options.MaxMacs = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The folder for the spaces. If it holds the same evolution, that is continued.",
            show_default="a new one under results/",
        ),
    ] = None,
    seed: options.Seed = 0,
    json: options.Json = False,
    hardware: Annotated[
        str | None,
        typer.Option(
            help="Compare networks of equal latency on this device (see `nas hardware`).",
            show_default="cpu with --budget, else equal multiply-adds",
            rich_help_panel=options.TARGET,
        ),
    ] = None,
    runtime: options.Runtime = None,
    precision: options.Precision = None,
    layout: options.Layout = None,
    batch_size: options.BatchSize = None,
    threads: options.Threads = None,
    confidence: options.Confidence = 0.9,
    metric: Annotated[
        str, typer.Option(help="What to maximise: accuracy or balanced_accuracy.")
    ] = "accuracy",
    epochs: options.Epochs = None,
    recipe: options.Recipe = None,
    mirror: options.Mirror = None,
    splits: options.Splits = None,
    fit: options.FitTo = "crop",
    skip_unreadable: options.SkipUnreadable = False,
    layout_of_arrays: options.LayoutOfArrays = None,
) -> None:
    """Improve the ranges of a space: values that turn out worse go, values beyond the best come.

    Each generation trains the space's supernet (or finds it in the cache), evaluates sampled
    networks, and writes the next space's file with a reason for every change.

    Example: nas evolve-space --space hybrid-tiny --data digits --generations 3
    """
    from nas.errors import SettingsError
    from nas.settings import Settings
    from nas.units import parse_count, parse_duration

    settings = Settings(
        space=space,
        data=data,
        reading=read_options(splits, fit, skip_unreadable, layout_of_arrays),
        seed=seed,
        epochs=epochs,
        recipe=recipe_values(recipe, mirror),
        metric=metric,
    )
    latency_ms = parsed(parse_duration, budget)
    macs, params = parsed(parse_count, max_macs), parsed(parse_count, max_params)
    device = None if hardware is None else checked_hardware(hardware)
    device = "cpu" if device is None and latency_ms is not None else device
    conditions = {
        "--runtime": runtime,
        "--precision": precision,
        "--layout": layout,
        "--batch-size": batch_size,
        "--threads": threads,
    }
    given = [name for name, value in conditions.items() if value is not None]
    if device is None and given:
        raise SettingsError(
            f"{' and '.join(given)} belong to a device: give --hardware (see `nas hardware`) as "
            "well, or leave them out to compare networks of equal multiply-adds."
        )

    from nas.cli.console import show_outcome, working
    from nas.commands import evolve_space as evolving
    from nas.latency.target import Target
    from nas.space_evolution.costs import Limits
    from nas.space_evolution.request import Request

    target = None
    if device is not None:
        target = Target(
            device,
            runtime=runtime,
            precision=precision,
            layout=layout,
            batch_size=batch_size,
            threads=threads,
        )
    limits = Limits(latency_ms=latency_ms, max_macs=macs, max_params=params)
    request = Request(settings, target, limits, evaluations, confidence)
    with working() as console:
        outcome = evolving.evolve_space(request, generations, out=out, console=console)
    show_outcome(outcome, json)
