"""`nas predict`: how long one network takes on a target."""

from __future__ import annotations

from typing import Annotated

import typer

from nas.cli import options
from nas.cli.values import checked_hardware


def predict(
    network: Annotated[
        str,
        typer.Argument(
            help="An architecture file (YAML or JSON), or RUN/ID of a front.",
        ),
    ],
    hardware: options.Hardware = "cpu",
    runtime: options.Runtime = None,
    precision: options.Precision = None,
    layout: options.Layout = None,
    batch_size: options.BatchSize = None,
    resolution: options.Resolution = None,
    threads: options.Threads = None,
    space: options.Space = "hybrid-tiny",
    json: options.Json = False,
) -> None:
    """Predict a network's latency, with its 90 % interval. Nothing is run.

    Example: nas predict results/quickstart/ID --hardware cpu
    """
    from nas.settings import Settings

    settings = Settings(
        space=space,
        hardware=checked_hardware(hardware),
        runtime=runtime,
        precision=precision,
        layout=layout,
        batch_size=batch_size,
        resolution=resolution,
        threads=threads,
    )

    from nas import commands
    from nas.cli.console import show_outcome, working

    with working() as console:
        outcome = commands.predict(network, settings, console=console)
    show_outcome(outcome, json)
