"""The devices that latencies are predicted for. No torch here, so that `nas hardware` is quick.

    device.py   what is known of a device
    file.py     reads and checks the YAML file of a device
    folder.py   where these files are
    *.yaml      the devices that come with nas; every number names its source

`cpu` is the processor of the machine at hand; it is measured and has no file.
"""

from __future__ import annotations

import json
import os
import platform
from functools import cache
from importlib import resources
from typing import Any

from nas.environment import cpu, cpu_name, measuring_environment
from nas.errors import unknown_name
from nas.latency.devices.device import CPU_PRECISIONS, LAYOUTS, RUNTIMES, Device, base_of
from nas.latency.devices.folder import add, files, find, plain, read

__all__ = [
    "Device",
    "add",
    "base_of",
    "basis",
    "check",
    "describe_cpu",
    "find",
    "fingerprint",
    "known",
]


def known() -> tuple[str, ...]:
    """The names of all devices, `cpu` first.

    Raises:
        SettingsError: a file of the user's own has the name of another device.
    """
    return ("cpu", *sorted(files()))


def check(name: str) -> Device:
    """The device with that name or alias; only letters and digits count: `RTX 4090` is `rtx4090`.

    Raises:
        UnknownNameError: there is no such device.
        SettingsError: its file is wrong.
    """
    if plain(name) == "cpu":
        return _this_cpu()
    path = find(name)
    if path is None:
        hint = "Describe another one in a file: `nas hardware add --help`."
        raise unknown_name("hardware", name, known(), hint)
    return read(path)


def basis(device: Device) -> str:
    """What predictions for a device are based on, with their error where one was measured."""
    if device.kind != "gpu":
        return "measured here" if device.kind == "cpu" else "measured there, with a kit"
    content = _gpu_model()["content"]
    measured = {pair.partition(" ")[0] for pair in content["conditions"]["devices"]}
    # Variants have the same chip; jetson-orin and jetson-nano only begin with the same word.
    kin = [name for name in measured if base_of(name) == base_of(device.name)]
    if not any(check(name).architecture == device.architecture for name in kin):
        return "specification only"
    error = content["accuracy"][base_of(device.name)]["median"]
    return f"calibrated on public data; without it, a median error of {error:.0%}"


@cache
def _gpu_model() -> dict[str, Any]:
    """The shipped model, read without torch; `nas.latency.gpu.model` checks it."""
    file = resources.files("nas.latency") / "gpu" / "model.json"
    document: dict[str, Any] = json.loads(file.read_text())
    return document


def describe_cpu() -> dict[str, Any]:
    """The processor at hand: model, cores, usable threads, caches and memory."""
    return {**cpu(), "memory_gib": round(_memory_bytes() / 2**30, 1)}


def fingerprint() -> dict[str, Any]:
    """A measured profile is valid only where this is equal: the processor and how threads wait.

    Small networks take up to twice as long when threads sleep between operations instead of
    spinning (hybrid-cifar at batch 1 on 2 virtual cores: 9.4 ms spinning, 16.8 ms passive).
    """
    facts = {fact: value for fact, value in cpu().items() if fact != "usable_threads"}
    facts["omp_wait_policy"] = os.environ.get("OMP_WAIT_POLICY", "default").lower()
    spins = measuring_environment().get("GOMP_SPINCOUNT")  # a person's own choice
    return facts if spins is None else {**facts, "gomp_spincount": spins}


@cache
def _this_cpu() -> Device:
    return Device(
        name="cpu",
        title=cpu_name(),
        kind="cpu",
        runtimes=RUNTIMES["cpu"],
        precisions=CPU_PRECISIONS,
        layouts=LAYOUTS["cpu"],
        architecture=platform.machine(),
    )


def _memory_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return 0
