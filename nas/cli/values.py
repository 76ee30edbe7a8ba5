"""What people type, as the values it stands for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from nas.errors import SettingsError

Value = TypeVar("Value")


def parsed(parse: Callable[[str], Value], text: str | None) -> Value | None:
    """The value of an option that may be left out."""
    return None if text is None else parse(text)


def checked_hardware(name: str) -> str:
    """The name of a device that is known; says so before anything heavy is imported."""
    from nas.latency.devices import check

    return check(name).name


def measured_elsewhere(text: str) -> tuple[str, float]:
    """A GPU and milliseconds there, from `rtx3090=12.3ms`."""
    from nas.latency.devices import check
    from nas.units import parse_duration

    name, equals, time = text.partition("=")
    if not equals:
        raise SettingsError(f"--measured '{text}': write DEVICE=TIME, such as rtx3090=12.3ms.")
    device = check(name)
    if device.kind != "gpu":
        raise SettingsError(
            f"--measured '{text}': a time is carried from a GPU, and this is none."
        )
    return device.name, parse_duration(time)


def recipe_values(pairs: Sequence[str] | None) -> dict[str, bool | int | float | str]:
    """`["epochs=3", "ema=false"]` as a dictionary; all mistakes are reported together."""
    wrong = [pair for pair in pairs or () if not all(pair.partition("="))]
    if wrong:
        listed = ", ".join(f"'{pair}'" for pair in wrong)
        raise SettingsError(f"--recipe {listed}: write KEY=VALUE, such as epochs=30.")
    return {key: _scalar(value) for key, _, value in (pair.partition("=") for pair in pairs or ())}


def _scalar(text: str) -> bool | int | float | str:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
