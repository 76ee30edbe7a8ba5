"""The devices that a latency can be asked for. Imports no torch, so that `nas hardware` is quick.

`cpu` is the processor of the machine at hand; it is measured, never looked up.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from nas.environment import cpu
from nas.errors import unknown_name


@dataclass(frozen=True)
class Device:
    """What can be asked of a device; the first of each is its default."""

    name: str
    runtimes: tuple[str, ...]
    precisions: tuple[str, ...]
    layouts: tuple[str, ...]


_DEVICES = {
    # Networks keep their maps channels-last whatever they are given, and eager bfloat16 is
    # emulated on most processors: only what really runs is offered.
    "cpu": Device("cpu", ("eager",), ("fp32",), ("channels_last",)),
}


def known() -> tuple[str, ...]:
    """The names of all devices."""
    return tuple(_DEVICES)


def check(name: str) -> Device:
    """The device of that name.

    Raises:
        UnknownNameError: there is none.
    """
    if name not in _DEVICES:
        hint = "Measure a new device with `nas measure`."
        raise unknown_name("hardware", name, _DEVICES, hint)
    return _DEVICES[name]


def describe_cpu() -> dict[str, Any]:
    """The processor at hand: model, cores, usable threads, caches and memory."""
    return {**cpu(), "memory_gib": round(_memory_bytes() / 2**30, 1)}


def fingerprint() -> dict[str, Any]:
    """What has to be equal for a measured profile to hold: the processor and how threads wait.

    Threads that sleep between operations rather than spin make small networks up to twice as
    slow (hybrid-cifar at batch 1 on 2 virtual cores: 9.4 ms spinning, 16.8 ms passive).
    """
    facts = {fact: value for fact, value in cpu().items() if fact != "usable_threads"}
    return {**facts, "omp_wait_policy": os.environ.get("OMP_WAIT_POLICY", "default").lower()}


def _memory_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return 0
