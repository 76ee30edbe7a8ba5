"""Everything that a report shows, as plain values: no file is read and no network is run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from nas.ranking.result import Ranking
from nas.result import (
    Answer,
    FrontMember,
    Latency,
    Metric,
    NamedTarget,
    Recommendation,
    StockNetwork,
)
from nas.retrain.result import NetworkResult
from nas.search.front import hypervolume_curve
from nas.search.front_file import within
from nas.search.objectives import Budgets, limits_in_words
from nas.search.protocol import Floats
from nas.search.records import Record
from nas.search.surrogates.assessment import SurrogateFit
from search_spaces.architecture import Architecture


@dataclass(frozen=True)
class ReportContent:
    """The content of the page and its figures; an empty or None field is left out.

    Attributes:
        targets: What latencies are of, in the order of the records' latencies.
        records: All evaluations of the search, in the order of asking.
        searcher: Name of the algorithm that gave `records`.
        held_out: Networks that were predicted by fits without them, and measured.
        random_records: Evaluations of a random search on the same shared weights, as many as the
            search's or fewer.
        surrogates: How well surrogates predict evaluations that they have not seen.
        reference: The accuracy and the latency in ms on each target from which hypervolume
            counts; without it, the least accuracy and the largest latencies within the budgets
            of both searches.
        confidence: Share of networks whose latency lies within its predicted interval.
        supernet_curve: Entries with `epoch`, `loss`, `largest`, `smallest`, `random`.
        on_cluster: What the workers of a cluster did, one entry per search on one: `search`,
            `workers`, `nodes`, `evaluations`, `seconds`, `worker_seconds`, `failures`.
        retrained: Results of the networks that were trained to the end.
        best: The architecture that is drawn.
        exported: Folders of exported networks.
        origin: What the supernet started from, in sentences; empty for random weights.
        recommended: What to use within each set of budgets.
        stock: Published networks, trained on the same images.
        validation_images: Number of images behind a validation accuracy; 0 if not known.
        test_images: Number of images behind a test accuracy.
        ranking: Networks that were trained alone, and how well scores rank them.
    """

    title: str
    targets: Sequence[NamedTarget]
    records: Sequence[Record]
    front: Sequence[FrontMember]
    budgets: Budgets = field(default_factory=Budgets)
    answers: Sequence[Answer] = ()
    metric: Metric = "accuracy"
    searcher: str = "search"
    held_out: Sequence[Latency] = ()
    random_records: Sequence[Record] = ()
    surrogates: Sequence[SurrogateFit] = ()
    reference: tuple[float, ...] | None = None
    confidence: float = 0.9
    supernet_curve: Sequence[Mapping[str, float]] = ()
    on_cluster: Sequence[Mapping[str, Any]] = ()
    retrained: Sequence[NetworkResult] = ()
    best: Architecture | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()
    exported: Sequence[Path] = ()
    origin: str = ""
    recommended: Sequence[Recommendation] = ()
    stock: Sequence[StockNetwork] = ()
    validation_images: int = 0
    test_images: int = 0
    ranking: Ranking | None = None

    def held_out_on(self, target: int) -> list[Latency]:
        """The held-out networks of one target."""
        name = self.targets[target].name
        return [latency for latency in self.held_out if latency.target == name]

    @property
    def interval(self) -> str:
        """What the intervals of predictions are called."""
        return f"{self.confidence * 100:g} % interval"

    @property
    def target(self) -> str:
        """All targets in words."""
        return "; ".join(target.words for target in self.targets)

    def on(self, target: int) -> str:
        """What is said after a latency: ` on cpu`, nothing where there is one target only."""
        return f" on {self.targets[target].name}" if len(self.targets) > 1 else ""

    def within(self, answer: Answer | Recommendation) -> str:
        """The budgets of an answer in words."""
        return limits_in_words(answer.limits_ms, [target.name for target in self.targets])

    @cached_property
    def best_ids(self) -> set[str]:
        """The ids of the best networks, if there is more than one set of budgets."""
        several = len(self.answers) > 1
        return {answer.best for answer in self.answers if answer.best and several}

    @cached_property
    def feasible(self) -> list[Record]:
        """The evaluations within any set of budgets."""
        return within(self.records, self.budgets)

    @cached_property
    def infeasible(self) -> list[Record]:
        """The evaluations beyond all of them; failed ones are in neither list."""
        kept = {record.index for record in self.feasible}
        return [r for r in self.records if not r.failed and r.index not in kept]

    @cached_property
    def reference_point(self) -> tuple[float, ...] | None:
        """The accuracy and the latencies in ms from which hypervolume counts; None without any."""
        if self.reference is not None:
            return self.reference
        known = [*self.feasible, *within(self.random_records, self.budgets)]
        if not known:
            return None
        scores = [record.score(self.metric) for record in known]
        return min(scores), *np.max([_ms(record) for record in known], axis=0).tolist()

    @cached_property
    def hypervolumes(self) -> dict[str, Floats]:
        """By searcher: the hypervolume after 1, 2, ... evaluations; a share of `reference`'s box.

        1 would be a network of accuracy 1 that takes no time.
        """
        searches = {self.searcher: self.records, "random": self.random_records}
        return {name: self._volume(records) for name, records in searches.items() if records}

    def _volume(self, records: Sequence[Record]) -> Floats:
        if self.reference_point is None:
            return np.zeros(len(records))
        accuracy, *latencies = self.reference_point
        kept = {record.index for record in within(records, self.budgets)}
        points = np.array([(1.0 - record.score(self.metric), *_ms(record)) for record in records])
        points[[record.index not in kept for record in records]] = np.nan
        corner = np.array([1.0 - accuracy, *latencies])
        volume: Floats = hypervolume_curve(points, corner)
        return volume / corner.prod() if corner.prod() > 0 else volume


def _ms(record: Record) -> list[float]:
    """Predicted latencies on all targets."""
    return [latency.predicted_ms for latency in record.latencies]
