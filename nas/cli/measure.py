"""`nas measure`: profile a device at hand, or one that only runs what it is given."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas.cli import options
from nas.cli.values import checked_hardware, ray_choice, read_options, sides
from nas.errors import SettingsError

Seconds = Annotated[
    float | None,
    typer.Option(
        min=0,
        help="Longest time to measure; a GPU is done earlier if its medians are certain enough.",
        show_default="as needed",
    ),
]
_OTHER = "A device that cannot run nas, such as a phone"

Kit = Annotated[
    Path | None,
    typer.Option(
        help="The folder to write networks and a runner to; with --import, the folder that was "
        "written.",
        metavar="DIR",
        rich_help_panel=_OTHER,
    ),
]
Times = Annotated[
    Path | None,
    typer.Option(
        "--import",
        help="The times that the runner wrote: columns id, ms.",
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
    resolutions: options.Resolutions = None,
    space: options.SpaceForImages = None,
    data: options.Data = "digits",
    splits: options.Splits = None,
    fit: options.FitTo = "crop",
    skip_unreadable: options.SkipUnreadable = False,
    layout_of_arrays: options.LayoutOfArrays = None,
    seconds: Seconds = None,
    seed: options.Seed = 0,
    kit: Kit = None,
    times: Times = None,
    ray: options.Ray = None,
    json: options.Json = False,
) -> None:
    """Measure how long networks of a space take on this machine's processor or GPU.

    A search measures the processor by itself when it has to. For a GPU latencies are predicted;
    networks that you measure on it (in eager, compile or cuda-graph) correct the predictions from
    then on.

    The result is cached and replaces an older one. The data only decide how many channels and
    classes the networks have. Close other programs first: they slow down the measurement.

    With --ray the networks are measured on the node that offers hardware_NAME, when it is idle.

    A device that cannot run nas is measured with a kit: --kit writes networks and a small
    runner, --import reads the times that the runner wrote there.

    Example: nas measure --hardware cpu --threads 2 --space hybrid-cifar
    """
    if times is not None and kit is None:
        raise SettingsError(
            "--import needs --kit DIR as well: the kit whose networks were measured."
        )
    if ray is not None and kit is not None:
        raise SettingsError(
            "--kit is for a device that cannot run nas, --ray for one that a cluster's node has; "
            "give one of them."
        )
    if seconds is not None and kit is not None:
        raise SettingsError(
            "--seconds is for measuring on this machine. The kit's runner has its own option: "
            "run_probes.py --seconds."
        )
    from nas.settings import Settings

    settings = Settings(
        space=space,
        data=data,
        reading=read_options(splits, fit, skip_unreadable, layout_of_arrays),
        seed=seed,
        hardware=checked_hardware(hardware),
        runtime=runtime,
        precision=precision,
        layout=layout,
        batch_size=batch_size,
        resolution=resolution,
        resolutions=sides(resolutions),
        threads=threads,
    )

    from nas.cli.console import show_outcome, working
    from nas.commands import steps as commands

    with working() as console:
        if kit is None:
            outcome = commands.measure(
                settings,
                seconds=seconds,
                console=console,
                ray=ray_choice(ray, None, None, None, None),
            )
        elif times is None:
            outcome = commands.write_kit(settings, kit, console=console)
        else:
            outcome = commands.import_times(settings, times, kit, console=console)
    show_outcome(outcome, json)
