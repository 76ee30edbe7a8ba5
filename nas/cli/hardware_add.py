"""`nas hardware add`: a device of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas.cli import options


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

    A phone or a board is measured with a kit (nas measure --help), so three lines do:

    \b
    title: Raspberry Pi 5
    kind: board
    cores: 4              # that run the network
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
