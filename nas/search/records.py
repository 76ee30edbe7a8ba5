"""One line of `evaluations.jsonl`: an architecture that was asked for, and its evaluation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from nas.errors import RunError
from nas.result import Latency

_MAY_FAIL = ("accuracy", "balanced_accuracy", "loss")


@dataclass(frozen=True)
class Record:
    """An evaluated architecture. Scores are NaN if the evaluation failed."""

    index: int
    """Position in the order of asking, from 0."""
    id: str
    code: tuple[int, ...]
    accuracy: float
    balanced_accuracy: float
    loss: float
    latencies: tuple[Latency, ...]
    """Predicted, one per target."""
    macs: int
    params: int
    memory_mib: float
    seconds: float
    """Duration of the evaluation."""

    @property
    def failed(self) -> bool:
        """Whether there is no accuracy."""
        return math.isnan(self.accuracy)

    def score(self, metric: str) -> float:
        """Its accuracy or balanced accuracy, or its loss with a minus: more is better."""
        value: float = getattr(self, metric)
        return -value if metric == "loss" else value

    def to_dict(self) -> dict[str, Any]:
        """For JSON, which has no NaN: null instead."""
        line = dict(vars(self))  # `asdict` copies each gene, which took most of a search's time
        line["code"] = list(self.code)
        line["latencies"] = [dict(vars(latency)) for latency in self.latencies]
        for name in _MAY_FAIL:
            line[name] = line[name] if math.isfinite(line[name]) else None
        return line

    @classmethod
    def from_dict(cls, line: Mapping[str, Any]) -> Record:
        """A record as `to_dict` gave it.

        Raises:
            RunError: fields are missing or unknown.
        """
        if wrong := sorted({field.name for field in fields(cls)}.symmetric_difference(line)):
            raise RunError(
                f"An evaluation has missing or unknown fields: {', '.join(wrong)}. It was made by "
                "another version of nas; start a new run, or use that version."
            )
        values = {
            **line,
            "code": tuple(line["code"]),
            "latencies": tuple(Latency(**latency) for latency in line["latencies"]),
        }
        for name in _MAY_FAIL:
            values[name] = math.nan if values[name] is None else values[name]
        return cls(**values)
