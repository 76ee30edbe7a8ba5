"""The result of a run as plain values: in memory, in its files and in the output of `--json`.

Latency       on one target: predicted with its interval, and measured if it was
Corrected     a score that the supernet gave, corrected by networks that were trained alone
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
from supernet.scores import accuracy_interval

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
class Corrected:
    """What a network is expected to have after a short training alone, with its 90 % interval."""

    metric: str
    """Which score it is."""
    value: float
    low: float
    high: float

    def __str__(self) -> str:
        if self.metric == "loss":
            return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"
        return f"{self.value:.1%} ({100 * self.low:.1f} to {100 * self.high:.1f})"


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
    """On the test split, after training alone; None before."""
    trained_accuracy: float | None = None
    """On the validation split, after training alone; None before."""
    shared_test_accuracy: float | None = None
    """On the test split with the supernet's weights; None until the whole front was scored."""
    corrected: Corrected | None = None
    """On the validation split; None unless networks were trained alone to correct the supernet."""

    def score(self, metric: str) -> float:
        """Its accuracy or balanced accuracy, or its loss with a minus: more is better.

        It is the corrected one where there is one.
        """
        value: float = getattr(self, metric)
        if self.corrected is not None and self.corrected.metric == metric:
            value = self.corrected.value
        return -value if metric == "loss" else value

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        document = {name: getattr(self, name) for name in self.__dataclass_fields__}
        document["code"] = list(self.code)
        document["architecture"] = self.architecture.to_dict()
        document["latencies"] = [dataclasses.asdict(latency) for latency in self.latencies]
        corrected = document.pop("corrected")
        if corrected is not None:
            document["corrected"] = dataclasses.asdict(corrected)
        return document

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> FrontMember:
        """A member as `to_dict` wrote it."""
        values = dict(document)
        values["code"] = tuple(values["code"])
        values["architecture"] = Architecture.from_dict(values["architecture"])
        values["latencies"] = tuple(Latency(**latency) for latency in values["latencies"])
        if "corrected" in values:
            values["corrected"] = Corrected(**values["corrected"])
        return cls(**values)


@dataclass(frozen=True)
class StockLatency:
    """Latency of a stock network on one target, in ms per batch."""

    target: str
    """The target in short, as in `Latency`."""
    ms: float
    measured: bool
    """Whether it was measured; otherwise it is predicted."""
    high_ms: float | None = None
    """Upper end of the predicted interval."""

    @property
    def most_ms(self) -> float:
        """What has to keep a budget: the upper end where it is predicted, as for our networks."""
        return self.ms if self.high_ms is None else self.high_ms


@dataclass(frozen=True)
class StockNetwork:
    """A published network that was trained on the same images, to compare with."""

    name: str
    """As timm calls it."""
    resolution: int
    pretrained: str | None
    """Where its first weights came from; None for new ones."""
    epochs: int
    validation_accuracy: float
    test_accuracy: float | None
    latencies: tuple[StockLatency, ...]
    """Of the targets on which it is known."""
    params: int
    seconds: float
    """How long it was trained."""
    path: Path

    @property
    def title(self) -> str:
        """Name and resolution."""
        return f"{self.name} at {self.resolution} px"

    @property
    def start(self) -> str:
        """Where its first weights came from, in a word."""
        return "scratch" if self.pretrained is None else "pretrained"

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        document = {name: getattr(self, name) for name in self.__dataclass_fields__}
        document["latencies"] = [dataclasses.asdict(latency) for latency in self.latencies]
        document["path"] = str(self.path)
        return document


@dataclass(frozen=True)
class Recommendation:
    """The network to use within one budget set, and why."""

    limits_ms: tuple[float | None, ...]
    """One per target; None is no limit."""
    id: str | None
    """A member of the front; None if none is within the limits."""
    reason: str
    """A sentence."""
    verdict: str = ""
    """Whether the search paid, in a sentence; empty without stock networks to compare with."""
    path: Path | None = None
    """Its exported folder."""

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**dataclasses.asdict(self), "path": None if self.path is None else str(self.path)}


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
    recommended: tuple[Recommendation, ...] = ()
    """One per budget set."""
    stock: tuple[StockNetwork, ...] = ()
    """Published networks trained on the same images."""
    validation_images: int = 0
    test_images: int = 0
    """How many images an accuracy was found on."""

    def to_dict(self) -> dict[str, Any]:
        """The document that `--json` prints."""
        document = {name: getattr(self, name) for name in self.__dataclass_fields__}
        document["path"] = str(self.path)
        document["targets"] = [dataclasses.asdict(target) for target in self.targets]
        document["front"] = [
            with_intervals(member.to_dict(), self.validation_images, self.test_images)
            for member in self.front
        ]
        document["recommended"] = [each.to_dict() for each in self.recommended]
        document["stock"] = [
            with_intervals(each.to_dict(), self.validation_images, self.test_images)
            for each in self.stock
        ]
        document["answers"] = [dataclasses.asdict(answer) for answer in self.answers]
        document["exported"] = [str(path) for path in self.exported]
        document["report"] = None if self.report is None else str(self.report)
        return document


def with_intervals(document: dict[str, Any], validation: int, test: int) -> dict[str, Any]:
    """The document with the 90 % interval of each accuracy in it, as `<name>_interval`.

    Args:
        document: Accuracies under names that end in `accuracy`; balanced ones have no interval.
        validation: Number of validation images; 0 if it is not known.
        test: Number of test images, on which names with `test` in them were found.
    """
    found = dict(document)
    for name, share in document.items():
        if not name.endswith("accuracy") or name == "balanced_accuracy" or share is None:
            continue
        if images := test if "test" in name else validation:
            found[f"{name}_interval"] = list(accuracy_interval(share, images))
    return found


@dataclass(frozen=True)
class Outcome:
    """The result of any other command: `lines` for a person, `document` for `--json`."""

    lines: tuple[str, ...]
    document: dict[str, Any] = field(default_factory=dict)
