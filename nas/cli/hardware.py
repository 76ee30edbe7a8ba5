"""`nas hardware`: the devices that a budget can be for."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from nas.cli import options
from nas.cli.hardware_add import add


class _ByName(TyperGroup):
    """A word that is no sub-command is taken as a device's name."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        return super().resolve_command(ctx, args if args[0] in self.commands else ["show", *args])


hardware = typer.Typer(
    name="hardware",
    cls=_ByName,
    invoke_without_command=True,
    subcommand_metavar="[NAME | add FILE]",
)
hardware.command()(add)


@hardware.callback()
def list_devices(ctx: typer.Context, json: options.Json = False) -> None:
    """List the devices that `--hardware` knows, or show one of them: `nas hardware a100`.

    `cpu` is this machine's processor. `nas hardware add FILE` adds a device.

    Example: nas hardware
    """
    from nas.cli.console import show_json, show_table
    from nas.commands.hardware import document_of
    from nas.latency.devices import basis, check, known

    if ctx.invoked_subcommand is not None:
        return
    devices = [check(name) for name in known()]
    if json:
        show_json([document_of(device) for device in devices])
        return
    rows = [(d.name, d.title, f"{d.runtimes[0]}, {d.precisions[0]}", basis(d)) for d in devices]
    columns = ("name", "what it is", "by default", "predictions rest on")
    show_table("Hardware (by default also channels_last, batch 1)", columns, rows)


@hardware.command(hidden=True)
def show(ctx: typer.Context, name: str, json: options.Json = False) -> None:
    """Everything that is known about a device, each number with its source.

    Example: nas hardware a100
    """
    from nas.cli.console import show_json, show_lines, show_table
    from nas.commands.hardware import default_conditions, document_of, found_here
    from nas.latency.devices import basis, check

    device = check(name)
    if json or (ctx.parent is not None and ctx.parent.params["json"]):
        show_json(document_of(device))
        return
    facts = {
        "architecture": device.architecture,
        "by default": default_conditions(device),
        "runtimes": ", ".join(device.runtimes),
        "precisions": ", ".join(device.precisions),
        "layouts": ", ".join(device.layouts),
        "predictions rest on": basis(device),
        **found_here(device),
    }
    show_lines([f"{device.name}: {device.title}", *(f"  {k}: {v}" for k, v in facts.items())])
    if device.numbers:
        rows = [(k, f"{number:g}", device.sources[k]) for k, number in device.numbers.items()]
        show_table("", ("number", "value", "source"), rows)
