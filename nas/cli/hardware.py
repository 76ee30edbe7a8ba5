"""`nas hardware`: the devices that a budget can be for."""

from __future__ import annotations

from typing import Annotated

import typer

from nas.cli import options
from nas.cli.values import checked_hardware


def hardware(
    name: Annotated[str | None, typer.Argument(help="Only this device.")] = None,
    json: options.Json = False,
) -> None:
    """List the devices that `--hardware` knows; `cpu` is the machine at hand.

    Example: nas hardware
    """
    from nas.cli.console import show_json, show_table
    from nas.environment import cpu
    from nas.latency.devices import known

    names = known() if name is None else (checked_hardware(name),)
    described = {device: cpu() if device == "cpu" else {} for device in names}
    if json:
        show_json([{"name": device, **facts} for device, facts in described.items()])
        return
    rows = [
        (device, "\n".join(f"{fact.replace('_', ' ')}: {value}" for fact, value in facts.items()))
        for device, facts in described.items()
    ]
    show_table("Hardware", ("name", "what it is"), rows)
