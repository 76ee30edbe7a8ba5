"""`nas predict`: how long one network takes on a target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from nas.cli import options
from nas.cli.values import checked_hardware, measured_elsewhere, parsed


def predict(
    network: Annotated[
        str,
        typer.Argument(
            help="timm:NAME, an architecture file (YAML or JSON), or RUN/ID of a front.",
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
            help="Input side in pixels.",
            show_default="the network's",
            rich_help_panel=options.TARGET,
        ),
    ] = None,
    threads: options.Threads = None,
    space: Annotated[
        str | None,
        typer.Option(
            help="The architecture's space, a name or a YAML file; a GPU needs none.",
            metavar="NAME|FILE",
            show_default="the run's, or hybrid-tiny",
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Data that decide the channels and classes (see `nas search --help`).",
            metavar="SPEC",
            show_default="the network's",
        ),
    ] = None,
    confidence: Annotated[
        float,
        typer.Option(min=0.0, max=1.0, help="Share of networks that the interval covers."),
    ] = 0.9,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show which kernels take the time, and why.")
    ] = False,
    measured: Annotated[
        str | None,
        typer.Option(
            help="What it was measured to take on another GPU, all else equal, such as "
            "rtx3090=12.3ms; carried over by the predicted ratio.",
            metavar="DEVICE=TIME",
        ),
    ] = None,
    json: options.Json = False,
) -> None:
    """Predict a network's latency, with its interval. The network is not run.

    For a GPU and for cpu any network can be predicted; for boards, architectures of a space. On
    cpu, operations that were never met before are timed first.

    Example: nas predict timm:resnet50 --hardware a100 --batch-size 1 --explain
    """
    from nas.settings import Settings

    named: dict[str, Any] = {"space": space, "data": data}
    settings = Settings(
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
