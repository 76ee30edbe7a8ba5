"""`front.json`: the architectures worth having, chosen from the evaluations.

The front is by score (up) and predicted latency (down); other budgets only exclude. Of equal
points one is kept: the lower loss, then the lower id. The document is equal for equal inputs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
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
    """The records whose prediction and costs keep every budget, and that did not fail."""
    good = [record for record in records if not record.failed]
    if not good:
        return []
    columns = ("latency_ms", "low_ms", "high_ms", "macs", "params", "memory_mib")
    measures = Measures(
        **{name: np.array([float(getattr(record, name)) for record in good]) for name in columns}
    )
    keep: Bools = np.all(budgets.excess(measures) <= 0, axis=1)
    return [record for record, kept in zip(good, keep, strict=True) if kept]


def front_records(
    records: Sequence[Record], budgets: Budgets, metric: Metric = "accuracy"
) -> list[Record]:
    """The non-dominated records within the budgets, fastest first."""
    unique: dict[tuple[float, float], Record] = {}
    for record in sorted(within(records, budgets), key=lambda record: (record.loss, record.id)):
        unique.setdefault((record.latency_ms, -getattr(record, metric)), record)
    if not unique:
        return []
    points = sorted(unique)
    mask = non_dominated(np.array(points))
    return [unique[point] for point, kept in zip(points, mask, strict=True) if kept]


def front_document(
    records: Sequence[Record],
    *,
    budgets: Budgets,
    metric: Metric,
    describe: Callable[[tuple[int, ...]], Mapping[str, Any]],
    supernet: str,
    latency_profile: str,
    data: str,
) -> dict[str, Any]:
    """What `front.json` holds.

    Args:
        records: All evaluations of the search.
        budgets: The limits that were asked for.
        metric: Which score counts.
        describe: A code to its architecture as a dictionary.
        supernet: Id of the shared weights that gave the accuracies.
        latency_profile: Id of what gave the predictions.
        data: Id of the data and its split.
    """
    return {
        "schema": SCHEMA,
        "supernet": supernet,
        "latency_profile": latency_profile,
        "data": data,
        "metric": metric,
        "budgets": budgets.limits(),
        "evaluations": len(records),
        "front": [
            {
                "id": record.id,
                "code": list(record.code),
                "accuracy": record.accuracy,
                "balanced_accuracy": record.balanced_accuracy,
                "loss": record.loss,
                "prediction": {
                    "ms": record.latency_ms,
                    "low_ms": record.low_ms,
                    "high_ms": record.high_ms,
                },
                "macs": record.macs,
                "params": record.params,
                "memory_mib": record.memory_mib,
                "architecture": dict(describe(record.code)),
            }
            for record in front_records(records, budgets, metric)
        ],
    }


def write_front(path: Path, document: Mapping[str, Any]) -> None:
    """Write the document, whole or not at all."""
    atomic_write(path, json.dumps(document, indent=2) + "\n")
