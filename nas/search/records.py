"""One line of `evaluations.jsonl`: what was asked and what came of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from nas.errors import RunError

_MAY_FAIL = ("accuracy", "balanced_accuracy", "loss")


@dataclass(frozen=True)
class Interval:
    """A predicted latency on one target."""

    ms: float
    low_ms: float
    high_ms: float


@dataclass(frozen=True)
class Record:
    """An evaluated architecture. Scores are NaN where the evaluation failed."""

    index: int
    """Position in the order of asking, from 0."""
    id: str
    code: tuple[int, ...]
    accuracy: float
    balanced_accuracy: float
    loss: float
    latency_ms: float
    """Predicted on the first target, with its interval."""
    low_ms: float
    high_ms: float
    macs: int
    params: int
    memory_mib: float
    seconds: float
    """What the evaluation took."""
    others: tuple[Interval, ...] = ()
    """Predicted on the other targets, in their order."""

    @property
    def latencies(self) -> tuple[Interval, ...]:
        """Predicted on every target."""
        return (Interval(self.latency_ms, self.low_ms, self.high_ms), *self.others)

    @property
    def failed(self) -> bool:
        """Whether there is no accuracy."""
        return math.isnan(self.accuracy)

    def to_dict(self) -> dict[str, Any]:
        """For JSON, which has no NaN: null instead."""
        line = asdict(self)
        line["code"] = list(self.code)
        del line["others"]
        if self.others:
            line["latencies"] = [asdict(latency) for latency in self.latencies]
        for name in _MAY_FAIL:
            line[name] = line[name] if math.isfinite(line[name]) else None
        return line

    @classmethod
    def from_dict(cls, line: Mapping[str, Any]) -> Record:
        """A record as `to_dict` gave it.

        Raises:
            RunError: fields are missing or unknown.
        """
        line = dict(line)
        latencies = line.pop("latencies", [])
        known = {field.name for field in fields(cls)} - {"others"}
        if wrong := sorted(known.symmetric_difference(line)):
            raise RunError(
                f"An evaluation has missing or unknown fields: {', '.join(wrong)}. It was made by "
                "another version of nas; start a new run, or use that version."
            )
        values = {**line, "code": tuple(line["code"])}
        for name in _MAY_FAIL:
            values[name] = math.nan if values[name] is None else values[name]
        return cls(**values, others=tuple(Interval(**each) for each in latencies[1:]))
