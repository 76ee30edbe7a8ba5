"""What the pipeline hands back: plain values that print as a table or as one JSON document."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class FrontMember:
    """One architecture of the front. `None`: not known yet, or not asked for."""

    id: str
    accuracy: float
    """On the validation split, with the supernet's weights; a share between 0 and 1."""
    predicted_ms: float
    low_ms: float
    high_ms: float
    """The prediction's interval; a budget is checked against its upper end."""
    macs: int
    params: int
    memory_mib: float
    measured_ms: float | None = None
    test_accuracy: float | None = None
    """On the test split, after retraining."""


@dataclass(frozen=True)
class RunResult:
    """A run as far as it has come."""

    path: Path
    target: str
    """The complete target in words: a latency means nothing without it."""
    finished: tuple[str, ...]
    front: tuple[FrontMember, ...] = ()
    evaluations: int = 0
    exported: tuple[Path, ...] = ()
    report: Path | None = None
    notes: tuple[str, ...] = ()
    confidence: float = 0.9
    """Share of networks that the predictions' intervals cover."""

    def to_dict(self) -> dict[str, Any]:
        """The document that `--json` prints."""
        document = dataclasses.asdict(self)
        document["path"] = str(self.path)
        document["exported"] = [str(path) for path in self.exported]
        document["report"] = None if self.report is None else str(self.report)
        return document


@dataclass(frozen=True)
class Outcome:
    """What any other command made: `lines` for a person, `document` for `--json`."""

    lines: tuple[str, ...]
    document: dict[str, Any] = field(default_factory=dict)
