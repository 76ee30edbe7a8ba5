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
        typer.Option(help="timm, pt2 or onnx; repeat for more.", show_default="timm and pt2"),
    ] = None,
    id: Annotated[
        list[str] | None,
        typer.Option(
            help="Id of a network on the front; repeat for more.",
            show_default="the retrained networks",
        ),
    ] = None,
    all_of_them: Annotated[
        bool,
        typer.Option(
            "--all",
            help="Every network of the front: with its own weights if it was retrained, else with "
            "the supernet's.",
        ),
    ] = False,
    json: options.Json = False,
) -> None:
    """Export networks of a run: their architecture, their weights and the formats you name.

    Each network gets a folder with `architecture.yaml`, `model.safetensors` and the formats.

    Example: nas export results/my-run --format timm
    """
    from nas.cli.console import show_outcome, working
    from nas.commands import steps as commands

    with working() as console:
        outcome = commands.export(
            source,
            formats=tuple(format or ()),
            ids=tuple(id or ()),
            all_of_them=all_of_them,
            console=console,
        )
    show_outcome(outcome, json)
