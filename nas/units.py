"""Durations, counts and memory as people write them: `5ms`, `2M`, `16MiB`.

A budget without a unit is refused, because "5" could be seconds or milliseconds.
Inside the project a duration is a float in milliseconds, a count an int, memory a float in MiB.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from nas.errors import BudgetError, did_you_mean
from supernet.scores import accuracy_interval

_MS_PER_UNIT = {"ns": 1e-6, "us": 1e-3, "ms": 1.0, "s": 1e3, "min": 6e4, "h": 3.6e6}
_FACTOR_PER_SUFFIX = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
_BYTES_PER_UNIT = {
    "B": 1.0,
    **{"KB": 1e3, "MB": 1e6, "GB": 1e9},
    **{"KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30},
}
_NUMBER_AND_UNIT = re.compile(
    r"\s*(?P<number>[-+]?(?:\d+(?:_\d+)*\.?\d*|\.\d+)(?:e[-+]?\d+)?)\s*(?P<unit>.*?)\s*"
)


def parse_duration(text: str) -> float:
    """Milliseconds in a duration such as `5ms`, `0.8 s`, `800us` or `1.5min`.

    Raises:
        BudgetError: no number, no unit, an unknown unit, or not a positive finite time.
    """
    number, unit = _split("duration", text, "5ms")
    if not unit:
        raise BudgetError(f"The duration '{text}' has no unit; write {_plain(number)}ms.")
    unit = unit.replace("\u00b5", "u").replace("\u03bc", "u")  # micro sign, Greek mu
    factor = _factor("duration", text, unit, _MS_PER_UNIT)
    return _positive("duration", text, number * factor, "5ms")


def parse_count(text: str) -> int:
    """The whole number in a count such as `300000`, `250k`, `2M` or `1.5G` (powers of 1000).

    Raises:
        BudgetError: no number, an unknown suffix, not positive, or not a whole number.
    """
    number, suffix = _split("count", text, "2M")
    factor = _factor("count", text, suffix, _FACTOR_PER_SUFFIX)
    count = _positive("count", text, number * factor, "2M")
    if not math.isclose(count, round(count), rel_tol=1e-9):  # 4.1 * 1e6 is 4099999.9999999995
        raise BudgetError(f"The count '{text}' is not a whole number; write one such as 2M.")
    return round(count)


def parse_memory(text: str) -> float:
    """MiB in an amount of memory such as `16MiB`, `1GiB` or `64KB`.

    Raises:
        BudgetError: no number, no unit, an unknown unit, or not a positive finite amount.
    """
    number, unit = _split("memory", text, "16MiB")
    if not unit:
        raise BudgetError(f"The memory '{text}' has no unit; write {_plain(number)}MiB.")
    factor = _factor("memory", text, unit, _BYTES_PER_UNIT)
    return _positive("memory", text, number * factor / 2.0**20, "16MiB")


def format_ms(milliseconds: float) -> str:
    """A duration in the unit that reads best: `800 us`, `4.87 ms`, `1.5 s`, `12 min`."""
    size = abs(milliseconds)
    if size < 1.0:
        return f"{_plain(milliseconds * 1e3)} us"
    if size < 1e3:
        return f"{_plain(milliseconds)} ms"
    if size < 12e4:
        return f"{_plain(milliseconds / 1e3)} s"
    return f"{_plain(milliseconds / 6e4)} min"


def format_count(count: float) -> str:
    """A count with three digits and a suffix: `300k`, `2.1M`, `1.5G`."""
    for suffix, factor in reversed(_FACTOR_PER_SUFFIX.items()):
        if abs(float(f"{count:.3g}")) >= factor:
            return f"{_plain(count / factor)}{suffix}"
    return _plain(count)


def format_size(size: int) -> str:
    """The number of a space's architectures: `7,200` or `2.44e+27`."""
    return f"{size:,}" if size < 1_000_000 else f"{size:.2e}"


def format_accuracy(accuracy: float, images: int) -> str:
    """An accuracy with its 90 % interval: `94.1% (92.4 to 95.5)`; alone if `images` is 0."""
    if not images:
        return f"{accuracy:.1%}"
    low, high = accuracy_interval(accuracy, images)
    return f"{accuracy:.1%} ({100 * low:.1f} to {100 * high:.1f})"


def format_mib(mib: float) -> str:
    """An amount of memory: `300 KiB`, `16 MiB`, `1.5 GiB`."""
    if abs(mib) < 1.0:
        return f"{_plain(mib * 1024)} KiB"
    return f"{_plain(mib)} MiB" if abs(mib) < 1024 else f"{_plain(mib / 1024)} GiB"


def _split(what: str, text: str, example: str) -> tuple[float, str]:
    match = _NUMBER_AND_UNIT.fullmatch(text)
    if match is None:
        raise BudgetError(
            f"The {what} '{text}' is not a finite number with a unit; write one such as {example}."
        )
    return float(match["number"]), match["unit"]


def _factor(what: str, text: str, unit: str, factors: Mapping[str, float]) -> float:
    """The factor of a unit, in its spelling or, if unambiguous, in any case (`5MS`, `2m`)."""
    if unit in factors:
        return factors[unit]
    same = [known for known in factors if known.lower() == unit.lower()]
    if len(same) == 1:
        return factors[same[0]]
    known = [name for name in factors if name]
    raise BudgetError(
        f"The {what} '{text}' has an unknown unit '{unit}'."
        f"{did_you_mean(unit, known)} Known units: {', '.join(known)}."
    )


def _positive(what: str, text: str, value: float, example: str) -> float:
    if not (math.isfinite(value) and value > 0.0):
        raise BudgetError(
            f"The {what} '{text}' is not a positive finite amount; write one such as {example}."
        )
    return value


def _plain(number: float) -> str:
    """Three significant digits without exponents or trailing zeros."""
    rounded = float(f"{number:.3g}")
    return f"{rounded:f}".rstrip("0").rstrip(".") if abs(rounded) >= 1e-6 else f"{rounded:g}"
