"""The facts about a device that `nas hardware` prints. Imports no torch."""

from __future__ import annotations

from typing import Any

from nas.latency import Target
from nas.latency.devices import Device, basis, describe_cpu


def default_conditions(device: Device) -> str:
    """The default conditions of a device: runtime, precision, batch, ..."""
    return str(Target(device.name)).partition("(")[2].removesuffix(")")


def found_here(device: Device) -> dict[str, Any]:
    """Facts about the processor at hand, from the operating system; empty for other devices."""
    return describe_cpu() if device.name == "cpu" else {}


def document_of(device: Device) -> dict[str, Any]:
    """A device as plain data, each number with its source."""
    return {
        "name": device.name,
        "title": device.title,
        "kind": device.kind,
        "architecture": device.architecture,
        "host": device.host,
        "aliases": device.aliases,
        "runtimes": device.runtimes,
        "precisions": device.precisions,
        "layouts": device.layouts,
        "default_target": Target(device.name).to_dict(),
        "predictions_rest_on": basis(device),
        "numbers": {
            name: {"value": number, "source": device.sources[name]}
            for name, number in device.numbers.items()
        },
        **found_here(device),
    }
