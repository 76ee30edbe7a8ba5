"""`front.json`: the best architectures, chosen from the evaluations.

The front maximises the score and minimises the predicted latency on each target; limits on costs
only exclude. Of equal points one is kept: the one with the lower loss, then the lower id. With
several budget sets the front holds what is within any of them, and the file names the best within
each. Equal inputs give an equal file.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from nas.result import Answer, FrontMember, Latency, Metric
from nas.search.front import non_dominated
from nas.search.objectives import Budgets, Measures
from nas.search.protocol import Bools
from nas.search.records import Record
from nas.storage import atomic_write, read_document
from search_spaces.architecture import Architecture

SCHEMA = 2


class Evaluated(Protocol):
    """An evaluated architecture, compared with budgets: a record, or a member of a front."""

    @property
    def id(self) -> str:
        """Of its architecture."""

    @property
    def accuracy(self) -> float:
        """NaN if the evaluation failed."""

    @property
    def loss(self) -> float:
        """Among equal accuracies the lower loss ranks first."""

    def score(self, metric: str) -> float:
        """Accuracy or balanced accuracy."""

    @property
    def latencies(self) -> tuple[Latency, ...]:
        """One per target."""

    @property
    def macs(self) -> int:
        """Multiply-adds per image."""

    @property
    def params(self) -> int:
        """Parameters."""

    @property
    def memory_mib(self) -> float:
        """Activations."""


Item = TypeVar("Item", bound=Evaluated)


def within(items: Sequence[Item], budgets: Budgets) -> list[Item]:
    """The items that did not fail and whose predictions and costs are within any budget set."""
    good = [item for item in items if not math.isnan(item.accuracy)]
    if not good:
        return []
    keep: Bools = np.all(budgets.excess(_measures(good)) <= 0, axis=1)
    return [item for item, kept in zip(good, keep, strict=True) if kept]


def front_among(
    items: Sequence[Item], budgets: Budgets, metric: Metric = "accuracy"
) -> list[Item]:
    """The non-dominated items within the budgets, fastest on the first target first."""
    unique: dict[tuple[float, ...], Item] = {}
    for item in sorted(within(items, budgets), key=lambda item: (item.loss, item.id)):
        latencies = (latency.predicted_ms for latency in item.latencies)
        unique.setdefault((*latencies, -item.score(metric)), item)
    if not unique:
        return []
    points = sorted(unique)
    mask = non_dominated(np.array(points))
    return [unique[point] for point, kept in zip(points, mask, strict=True) if kept]


def front_members(
    records: Sequence[Record],
    budgets: Budgets,
    metric: Metric,
    decode: Callable[[tuple[int, ...]], Architecture],
) -> list[FrontMember]:
    """The front of all evaluations of a search, fastest on the first target first.

    Args:
        records: All evaluations.
        budgets: The limits that were asked for.
        metric: The score that is compared.
        decode: Turns a code into its architecture.
    """
    return [member_of(record, decode) for record in front_among(records, budgets, metric)]


def member_of(record: Record, decode: Callable[[tuple[int, ...]], Architecture]) -> FrontMember:
    """An evaluated architecture as a member of a front."""
    return FrontMember(
        id=record.id,
        code=record.code,
        architecture=decode(record.code),
        accuracy=record.accuracy,
        balanced_accuracy=record.balanced_accuracy,
        loss=record.loss,
        latencies=record.latencies,
        macs=record.macs,
        params=record.params,
        memory_mib=record.memory_mib,
    )


def ranked(items: Sequence[Item], metric: Metric) -> list[Item]:
    """The items, best score first; of equal scores, the lower loss first."""
    return sorted(items, key=lambda item: (-item.score(metric), item.loss))


def best_within(
    front: Sequence[Item], budgets: Budgets, metric: Metric = "accuracy"
) -> list[Item | None]:
    """The best member of the front predicted within each budget set; None if none is.

    The best of all evaluations is on the front: all predictions of a target have an interval of
    equal relative width, so an architecture that dominates an answer is within its budgets too.
    """
    kept = [ranked(within(front, alone), metric) for alone in budgets.separate()]
    return [items[0] if items else None for items in kept]


def write_front(
    path: Path,
    front: Sequence[FrontMember],
    *,
    budgets: Budgets,
    metric: Metric,
    evaluations: int,
    supernet: str,
    targets: Sequence[Mapping[str, Any]],
    data: str,
) -> None:
    """Write `front.json`, completely or not at all.

    Args:
        path: The file.
        front: Its members.
        budgets: The limits that were asked for.
        metric: The score that is compared.
        evaluations: Number of evaluated architectures.
        supernet: Id of the shared weights that gave the accuracies.
        targets: Each with its `name`, its `target` and `latency_profile`, the id of the
            predictor.
        data: Id of the data and its split.
    """
    best = best_within(front, budgets, metric)
    document = {
        "schema": SCHEMA,
        "supernet": supernet,
        "data": data,
        "metric": metric,
        "targets": [dict(target) for target in targets],
        "budgets": budgets.costs(),
        "answers": [
            asdict(Answer(limits, None if member is None else member.id))
            for limits, member in zip(budgets.budget_sets, best, strict=True)
        ],
        "evaluations": evaluations,
        "front": [member.to_dict() for member in front],
    }
    atomic_write(path, json.dumps(document, indent=2) + "\n")


def read_front(path: Path) -> list[FrontMember]:
    """The members in a `front.json`, fastest on the first target first.

    Raises:
        CheckpointError: the file is missing or damaged.
        RunError: another version of nas wrote it.
    """
    document = read_document(path, SCHEMA)
    return [FrontMember.from_dict(member) for member in document["front"]]


def read_supernet(path: Path) -> str:
    """The id of the shared weights that gave the accuracies in a `front.json`; errors as above."""
    return str(read_document(path, SCHEMA)["supernet"])


def _measures(items: Sequence[Evaluated]) -> Measures:
    """Predictions and costs as arrays."""
    latencies = np.array(
        [[(at.predicted_ms, at.low_ms, at.high_ms) for at in item.latencies] for item in items]
    )
    costs = np.array([(item.macs, item.params, item.memory_mib) for item in items], dtype=float)
    return Measures(*np.moveaxis(latencies, 2, 0), *costs.T)
