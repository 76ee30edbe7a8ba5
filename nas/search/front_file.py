"""`front.json`: the architectures worth having, chosen from the evaluations.

The front is by score (up) and predicted latency on each target (down); other budgets only exclude.
Of equal points one is kept: the lower loss, then the lower id. Where the search answers several
questions, the front holds what answers any of them, and the best answer to each is named. The
document is equal for equal inputs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from nas.search.front import non_dominated
from nas.search.objectives import Budgets, Measures
from nas.search.problem import Metric
from nas.search.protocol import Bools
from nas.search.records import Record
from nas.storage import atomic_write

SCHEMA = 1


def within(records: Sequence[Record], budgets: Budgets) -> list[Record]:
    """The records that did not fail and whose prediction and costs answer any of the questions."""
    good = [record for record in records if not record.failed]
    if not good:
        return []
    keep: Bools = np.all(budgets.excess(_measures(good)) <= 0, axis=1)
    return [record for record, kept in zip(good, keep, strict=True) if kept]


def front_records(
    records: Sequence[Record], budgets: Budgets, metric: Metric = "accuracy"
) -> list[Record]:
    """The non-dominated records within the budgets, fastest on the first target first."""
    unique: dict[tuple[float, ...], Record] = {}
    for record in sorted(within(records, budgets), key=lambda record: (record.loss, record.id)):
        latencies = (latency.ms for latency in record.latencies)
        unique.setdefault((*latencies, -getattr(record, metric)), record)
    if not unique:
        return []
    points = sorted(unique)
    mask = non_dominated(np.array(points))
    return [unique[point] for point, kept in zip(points, mask, strict=True) if kept]


def best_records(
    front: Sequence[Record], budgets: Budgets, metric: Metric = "accuracy"
) -> list[Record | None]:
    """The best answer to each question, None where nothing answers it.

    That is the most accurate record within the question's limits; of equal ones, the lower loss.
    It is enough to look at the front: an interval is a factor to either side, the same for all
    architectures of a target, so what dominates an answer is an answer too.
    """
    kept = [within(front, alone) for alone in budgets.separate()]
    return [
        min(answers, key=lambda record: (-getattr(record, metric), record.loss), default=None)
        for answers in kept
    ]


def front_document(
    records: Sequence[Record],
    *,
    budgets: Budgets,
    metric: Metric,
    describe: Callable[[tuple[int, ...]], Mapping[str, Any]],
    supernet: str,
    targets: Sequence[Mapping[str, Any]],
    data: str,
) -> dict[str, Any]:
    """What `front.json` holds.

    Args:
        records: All evaluations of the search.
        budgets: The limits that were asked for.
        metric: Which score counts.
        describe: A code to its architecture as a dictionary.
        supernet: Id of the shared weights that gave the accuracies.
        targets: Each with its `target` and the id of its `latency_profile`, that is of what gave
            the predictions.
        data: Id of the data and its split.
    """
    front = front_records(records, budgets, metric)
    best = best_records(front, budgets, metric)
    return {
        "schema": SCHEMA,
        "supernet": supernet,
        "latency_profile": targets[0]["latency_profile"],
        "targets": [dict(target) for target in targets],
        "data": data,
        "metric": metric,
        "budgets": budgets.by_name(),
        "answers": [
            {"limits_ms": list(limits), "best": None if record is None else record.id}
            for limits, record in zip(budgets.budget_sets, best, strict=True)
        ],
        "evaluations": len(records),
        "front": [_entry(record, describe(record.code)) for record in front],
    }


def write_front(path: Path, document: Mapping[str, Any]) -> None:
    """Write the document, whole or not at all."""
    atomic_write(path, json.dumps(document, indent=2) + "\n")


def _entry(record: Record, architecture: Mapping[str, Any]) -> dict[str, Any]:
    latencies = [asdict(latency) for latency in record.latencies]
    return {
        "id": record.id,
        "code": list(record.code),
        "accuracy": record.accuracy,
        "balanced_accuracy": record.balanced_accuracy,
        "loss": record.loss,
        "prediction": latencies[0],
        **({"latencies": latencies} if len(latencies) > 1 else {}),
        "macs": record.macs,
        "params": record.params,
        "memory_mib": record.memory_mib,
        "architecture": dict(architecture),
    }


def _measures(records: Sequence[Record]) -> Measures:
    """What budgets are compared with, from the record."""
    latencies = np.array(
        [[(at.ms, at.low_ms, at.high_ms) for at in record.latencies] for record in records]
    )
    costs = np.array([(r.macs, r.params, r.memory_mib) for r in records], dtype=float)
    return Measures(*np.moveaxis(latencies, 2, 0), *costs.T)
