"""`nas measure`: profile a device at hand, or one that only runs what it is given."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas.cli import options
from nas.cli.values import checked_hardware
from nas.errors import SettingsError

Seconds = Annotated[
    float | None,
    typer.Option(
        min=0,
        help="Longest time for the timed passes; on a GPU they end when medians are sure enough.",
        show_default="as needed",
    ),
]
_OTHER = "A device that cannot run nas, such as a phone"

Kit = Annotated[
    Path | None,
    typer.Option(
        help="Write networks to measure there to this folder; with --import: the folder.",
        metavar="DIR",
        rich_help_panel=_OTHER,
    ),
]
Times = Annotated[
    Path | None,
    typer.Option(
        "--import",
        help="The times that came back: columns id, ms.",
        metavar="CSV",
        rich_help_panel=_OTHER,
    ),
]


def measure(
    hardware: options.Hardware = "cpu",
    runtime: options.Runtime = None,
    precision: options.Precision = None,
    layout: options.Layout = None,
    batch_size: options.BatchSize = None,
    resolution: options.Resolution = None,
    threads: options.Threads = None,
    space: options.Space = "hybrid-tiny",
    data: options.Data = "digits",
    seconds: Seconds = None,
    seed: options.Seed = 0,
    kit: Kit = None,
    times: Times = None,
    json: options.Json = False,
) -> None:
    """Measure what networks of a space take on the processor or the GPU of this machine.

    On the processor a search does it by itself when it must. A GPU is predicted without; whole
    networks measured in eager, compile or cuda-graph correct what is predicted for it from then
    on. (Nobody has run that on a GPU yet: tests run it on a processor in a GPU's place.)

    The profile is cached with its conditions, in place of an older one. The data decide only how
    many channels and classes the networks have. Close other programs first: their load is
    measured too.

    A device that cannot run nas is measured with a kit: --kit writes networks and a small
    runner, --import takes the times back.

    Example: nas measure --hardware cpu --threads 2 --space hybrid-cifar
    """
    if times is not None and kit is None:
        raise SettingsError("--import needs --kit DIR as well: the kit that the times are of.")
    if seconds is not None and kit is not None:
        raise SettingsError(
            "--seconds is of measuring here. The kit's runner has its own: run_probes.py --seconds"
        )
    from nas.settings import Settings

    settings = Settings(
        space=space,
        data=data,
        seed=seed,
        hardware=checked_hardware(hardware),
        runtime=runtime,
        precision=precision,
        layout=layout,
        batch_size=batch_size,
        resolution=resolution,
        threads=threads,
    )

    from nas.cli.console import show_outcome, working
    from nas.commands import steps as commands

    with working() as console:
        if kit is None:
            outcome = commands.measure(settings, seconds=seconds, console=console)
        elif times is None:
            outcome = commands.write_kit(settings, kit, console=console)
        else:
            outcome = commands.import_times(settings, times, kit, console=console)
    show_outcome(outcome, json)
