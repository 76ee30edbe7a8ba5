"""`nas hardware`: the devices that a budget can be for, and `nas hardware add` for one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from nas.cli import options


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


@hardware.command()
def add(
    file: Annotated[Path, typer.Argument(help="A YAML file; its name becomes the device's name.")],
    force: Annotated[bool, typer.Option("--force", help="Replace a device of your own.")] = False,
    json: options.Json = False,
) -> None:
    """Add a device of your own from a YAML file; `--hardware` then knows it.

    Example: nas hardware add rtx4080.yaml, which may say (each number under its source):

    \b
    title: NVIDIA GeForce RTX 4080
    kind: gpu
    architecture: ada
    host: workstation     # or server, embedded
    tflops: {fp32: 48.7, tf32: 48.7, fp16: 97.5, bf16: 97.5}
    bandwidth_gb_s: 716.8
    l2_mib: 64
    memory_gib: 16
    sms: 76
    boost_mhz: 2505
    power_w: 320
    sources:
      NVIDIA Ada GPU Architecture whitepaper:
        - tflops            # dense, accumulating in 32 bits
        - bandwidth_gb_s
        - l2_mib
        - memory_gib
        - sms
        - boost_mhz
        - power_w
    """  # noqa: D301, the \b keeps typer from joining the lines
    from nas.cli.console import show_json, show_lines
    from nas.commands.hardware import document_of
    from nas.latency.devices import add, basis, check

    copy = add(file, force)
    device = check(copy.stem)
    if json:
        show_json({**document_of(device), "file": str(copy)})
        return
    show_lines(
        [
            f"Added '{device.name}' ({device.title}): {copy}",
            f"Predictions rest on: {basis(device)}. Use it with --hardware {device.name}.",
        ]
    )
