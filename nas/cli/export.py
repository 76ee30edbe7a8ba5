"""`nas export`: networks as files that run without a search."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas.cli import options


def export(
    source: Annotated[
        Path,
        typer.Argument(help="A run's folder, or its name under results/.", metavar="RUN"),
    ],
    format: Annotated[
        list[str] | None,
        typer.Option(help="A format; repeat for more.", show_default="timm and pt2"),
    ] = None,
    id: Annotated[
        list[str] | None,
        typer.Option(
            help="An architecture of the front; repeat for more.", show_default="the retrained"
        ),
    ] = None,
    json: options.Json = False,
) -> None:
    """Write `architecture.yaml` and `model.safetensors`, and register with timm.

    Example: nas export results/my-run --format timm
    """
    from nas.cli.console import show_outcome, working
    from nas.commands import steps as commands

    with working() as console:
        outcome = commands.export(
            source, formats=tuple(format or ()), ids=tuple(id or ()), console=console
        )
    show_outcome(outcome, json)
