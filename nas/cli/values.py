"""What people type, as the values it stands for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from nas.errors import SettingsError, unknown_name

Value = TypeVar("Value")


def parsed(parse: Callable[[str], Value], text: str | None) -> Value | None:
    """The value of an option that may be left out."""
    return None if text is None else parse(text)


def checked_hardware(name: str) -> str:
    """The name of a device that is known; says so before anything heavy is imported."""
    from nas.latency.devices import known

    if name not in known():
        hint = "`nas hardware` shows them; measure the machine at hand with `nas measure`."
        raise unknown_name("hardware", name, known(), hint)
    return name


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
