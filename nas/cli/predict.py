"""`nas predict`: how long one network takes on a target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from nas.cli import options
from nas.cli.values import checked_hardware, measured_elsewhere, parsed, read_options


def predict(
    network: Annotated[
        str,
        typer.Argument(
            help="timm:NAME, published:NAME for one built from our parts, an architecture file "
            "(YAML or JSON), or RUN/ID for a network of a run's front.",
        ),
    ],
    hardware: options.Hardware = "cpu",
    runtime: options.Runtime = None,
    precision: options.Precision = None,
    layout: options.Layout = None,
    batch_size: options.BatchSize = None,
    resolution: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Side of the images in pixels.",
            show_default="the network's",
            rich_help_panel=options.TARGET,
        ),
    ] = None,
    threads: options.Threads = None,
    space: Annotated[
        str | None,
        typer.Option(
            help="The network's space: a name or a YAML file. Not needed for a GPU.",
            metavar="NAME|FILE",
            show_default="the run's, or hybrid-tiny",
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Data, for the number of channels and classes (see `nas search --help`).",
            metavar="SPEC",
            show_default="the network's",
        ),
    ] = None,
    splits: options.Splits = None,
    fit: options.FitTo = "crop",
    skip_unreadable: options.SkipUnreadable = False,
    layout_of_arrays: options.LayoutOfArrays = None,
    confidence: Annotated[
        float,
        typer.Option(
            min=0.5,
            max=0.98,
            help="How sure the interval is: 0.9 = it holds for nine networks in ten.",
        ),
    ] = 0.9,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Show which kernels take the time, and what bounds them."),
    ] = False,
    measured: Annotated[
        str | None,
        typer.Option(
            help="A time that was measured on another GPU under the same conditions, such as "
            "rtx3090=12.3ms. The prediction is this time multiplied by the predicted ratio of "
            "both GPUs.",
            metavar="DEVICE=TIME",
        ),
    ] = None,
    json: options.Json = False,
) -> None:
    """Predict a network's latency and the interval around it, without running the network.

    Any network can be predicted for a GPU and for cpu; for a board, only networks of a space that
    was measured there. On cpu, operations that were not timed before are timed first.

    Example: nas predict timm:resnet50 --hardware a100 --batch-size 1 --explain
    """
    from nas.settings import Settings

    named: dict[str, Any] = {"space": space, "data": data}
    settings = Settings(
        reading=read_options(splits, fit, skip_unreadable, layout_of_arrays),
        hardware=checked_hardware(hardware),
        runtime=runtime,
        precision=precision,
        layout=layout,
        batch_size=batch_size,
        resolution=resolution,
        threads=threads,
        **{name: value for name, value in named.items() if value is not None},
    )

    from nas.cli.console import show_outcome, working
    from nas.commands import predict as predicting

    with working() as console:
        outcome = predicting.predict(
            network,
            settings,
            confidence=confidence,
            explain=explain,
            measured=parsed(measured_elsewhere, measured),
            console=console,
        )
    show_outcome(outcome, json)
    if explain and not json:
        _show_kernels(outcome.document)


def _show_kernels(document: dict[str, Any]) -> None:
    """Where the device's time goes: by class of kernel, and the costliest kernels."""
    from nas.cli.console import show_table

    total = document["device_ms"]
    classes: list[Sequence[str]] = [
        (kind, f"{ms:.3g}", f"{ms / total:.0%}") for kind, ms in document["kernels"].items()
    ]
    costliest: list[Sequence[str]] = [
        (row["kind"], row["sizes"], str(row["count"]), f"{row['ms']:.3g}", row["bound"])
        for row in document["launches"]
    ]
    show_table("Predicted on the device", ("class", "ms", "share"), classes)
    columns = ("class", "sizes", "times", "ms", "bound by")
    show_table("Its costliest kernels, as predicted", columns, costliest)
