"""What the pipeline hands back: plain values that print as a table or as one JSON document."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Latency:
    """On one target, in ms per batch: predicted with its interval, and measured where it was."""

    predicted_ms: float
    low_ms: float
    high_ms: float
    measured_ms: float | None = None

    @property
    def ms(self) -> float:
        """As measured where it was."""
        return self.predicted_ms if self.measured_ms is None else self.measured_ms


@dataclass(frozen=True)
class FrontMember:
    """One architecture of the front. `None`: not known yet, or not asked for."""

    id: str
    accuracy: float
    """On the validation split, with the supernet's weights; a share between 0 and 1."""
    predicted_ms: float
    """On the first target."""
    low_ms: float
    high_ms: float
    """The prediction's interval; a budget is checked against its upper end."""
    macs: int
    params: int
    memory_mib: float
    measured_ms: float | None = None
    test_accuracy: float | None = None
    """On the test split, after retraining."""
    others: tuple[Latency, ...] = ()
    """On the other targets, in their order."""

    @property
    def latencies(self) -> tuple[Latency, ...]:
        """On every target."""
        first = Latency(self.predicted_ms, self.low_ms, self.high_ms, self.measured_ms)
        return (first, *self.others)

    def to_dict(self) -> dict[str, Any]:
        """For `--json`; `latencies` where there are several targets."""
        document = dataclasses.asdict(self)
        del document["others"]
        if self.others:
            document["latencies"] = [dataclasses.asdict(latency) for latency in self.latencies]
        return document


@dataclass(frozen=True)
class Answer:
    """What was found for one question: limits that hold at once, one per target."""

    limits_ms: tuple[float | None, ...]
    best: str | None
    """Id of the most accurate member of the front within them; None where nothing is."""


@dataclass(frozen=True)
class RunResult:
    """A run as far as it has come."""

    path: Path
    targets: tuple[str, ...]
    """Each complete target in words: a latency means nothing without it."""
    finished: tuple[str, ...]
    front: tuple[FrontMember, ...] = ()
    evaluations: int = 0
    exported: tuple[Path, ...] = ()
    report: Path | None = None
    notes: tuple[str, ...] = ()
    confidence: float = 0.9
    """Share of networks that the predictions' intervals cover."""
    target_names: tuple[str, ...] = ("",)
    """The targets in short."""
    answers: tuple[Answer, ...] = ()
    """One per question that the budgets ask."""

    def to_dict(self) -> dict[str, Any]:
        """The document that `--json` prints."""
        document = dataclasses.asdict(self)
        document["path"] = str(self.path)
        document["target"] = self.targets[0]
        document["front"] = [member.to_dict() for member in self.front]
        document["exported"] = [str(path) for path in self.exported]
        document["report"] = None if self.report is None else str(self.report)
        return document


@dataclass(frozen=True)
class Outcome:
    """What any other command made: `lines` for a person, `document` for `--json`."""

    lines: tuple[str, ...]
    document: dict[str, Any] = field(default_factory=dict)
