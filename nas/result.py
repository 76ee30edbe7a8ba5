"""The result of a run as plain values: in memory, in its files and in the output of `--json`.

Latency       on one target: predicted with its interval, and measured if it was
FrontMember   one architecture of the front, with a `Latency` for each target
Answer        one budget set, and the best network within it
RunResult     everything about a run
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from search_spaces.architecture import Architecture

Metric = Literal["accuracy", "balanced_accuracy", "loss"]
"""What a search maximises; of the loss, it is the least."""
Shown = Literal["accuracy", "balanced_accuracy"]


def shown_metric(metric: Metric) -> Shown:
    """The score that a person reads: a loss says little to most."""
    return "accuracy" if metric == "loss" else metric


@dataclass(frozen=True)
class Latency:
    """Latency on one target, in ms per batch."""

    target: str
    """The target in short, such as `a100` or `a100 (batch 32)`."""
    predicted_ms: float
    low_ms: float
    high_ms: float
    """The prediction's interval; a budget is compared with its upper end."""
    measured_ms: float | None = None

    @property
    def ms(self) -> float:
        """Measured if it was measured, else predicted."""
        return self.predicted_ms if self.measured_ms is None else self.measured_ms


@dataclass(frozen=True)
class FrontMember:
    """One architecture of the front."""

    id: str
    code: tuple[int, ...]
    architecture: Architecture
    accuracy: float
    """On the validation split with the supernet's weights, 0 ... 1; so are the next two."""
    balanced_accuracy: float
    loss: float
    latencies: tuple[Latency, ...]
    """One per target."""
    macs: int
    params: int
    memory_mib: float
    test_accuracy: float | None = None
    """On the test split, after retraining; None before."""

    def score(self, metric: str) -> float:
        """Its accuracy or balanced accuracy, or its loss with a minus: more is better."""
        value: float = getattr(self, metric)
        return -value if metric == "loss" else value

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        document = {name: getattr(self, name) for name in self.__dataclass_fields__}
        document["code"] = list(self.code)
        document["architecture"] = self.architecture.to_dict()
        document["latencies"] = [dataclasses.asdict(latency) for latency in self.latencies]
        return document

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> FrontMember:
        """A member as `to_dict` wrote it."""
        values = dict(document)
        values["code"] = tuple(values["code"])
        values["architecture"] = Architecture.from_dict(values["architecture"])
        values["latencies"] = tuple(Latency(**latency) for latency in values["latencies"])
        return cls(**values)


@dataclass(frozen=True)
class Answer:
    """The best network within one budget set."""

    limits_ms: tuple[float | None, ...]
    """One per target; None is no limit."""
    best: str | None
    """Id of the most accurate member of the front within them; None if there is none."""


@dataclass(frozen=True)
class NamedTarget:
    """A target in words."""

    name: str
    """In short, as `Latency.target` has it."""
    words: str
    """Complete: a latency means nothing without device, runtime, precision, batch, ..."""


@dataclass(frozen=True)
class RunResult:
    """The result of a run so far."""

    path: Path
    targets: tuple[NamedTarget, ...]
    finished: tuple[str, ...]
    """Its finished steps."""
    front: tuple[FrontMember, ...] = ()
    answers: tuple[Answer, ...] = ()
    """One per budget set."""
    evaluations: int = 0
    exported: tuple[Path, ...] = ()
    report: Path | None = None
    notes: tuple[str, ...] = ()
    confidence: float = 0.9
    """Share of networks whose latency lies within its predicted interval."""
    metric: str = "accuracy"
    """The score to read: the accuracy where the search minimised the loss."""

    def to_dict(self) -> dict[str, Any]:
        """The document that `--json` prints."""
        document = {name: getattr(self, name) for name in self.__dataclass_fields__}
        document["path"] = str(self.path)
        document["targets"] = [dataclasses.asdict(target) for target in self.targets]
        document["front"] = [member.to_dict() for member in self.front]
        document["answers"] = [dataclasses.asdict(answer) for answer in self.answers]
        document["exported"] = [str(path) for path in self.exported]
        document["report"] = None if self.report is None else str(self.report)
        return document


@dataclass(frozen=True)
class Outcome:
    """The result of any other command: `lines` for a person, `document` for `--json`."""

    lines: tuple[str, ...]
    document: dict[str, Any] = field(default_factory=dict)
