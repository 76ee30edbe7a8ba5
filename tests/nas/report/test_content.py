from __future__ import annotations

import dataclasses

import numpy as np

from nas.report import ReportContent
from nas.result import Latency, NamedTarget
from nas.search.objectives import Budgets


def test_evaluations_are_feasible_infeasible_or_failed(full: ReportContent) -> None:
    assert all(record.latencies[0].high_ms <= 5.0 for record in full.feasible)
    assert all(record.latencies[0].high_ms > 5.0 for record in full.infeasible)
    assert full.feasible and full.infeasible
    assert len(full.feasible) + len(full.infeasible) == 29  # one failed


def test_hypervolume_is_the_share_of_the_reference_box(full: ReportContent) -> None:
    latencies = (Latency("cpu", 2.0, 1.0, 2.0),), (Latency("cpu", 2.0, 1.0, 9.0),)
    one = dataclasses.replace(full.records[0], accuracy=0.75, latencies=latencies[0], index=0)
    beyond = dataclasses.replace(one, accuracy=1.0, latencies=latencies[1], index=1)
    content = dataclasses.replace(
        full, records=[one, beyond], random_records=(), reference=(0.5, 4.0)
    )
    # (0.75 - 0.5) * (4 - 2) of (1 - 0.5) * 4
    assert content.hypervolumes.keys() == {"evolution"}
    np.testing.assert_allclose(content.hypervolumes["evolution"], [0.25, 0.25])


def test_both_searches_share_one_reference_point(full: ReportContent) -> None:
    known = [*full.feasible, *dataclasses.replace(full, records=full.random_records).feasible]
    assert full.reference_point == (
        min(record.accuracy for record in known),
        max(record.latencies[0].predicted_ms for record in known),
    )
    for curve in full.hypervolumes.values():
        assert (np.diff(curve) >= 0).all() and 0 < curve[-1] < 1


def test_without_a_feasible_evaluation_nothing_is_covered(full: ReportContent) -> None:
    content = dataclasses.replace(full, budgets=Budgets(((0.1,),)))
    assert content.reference_point is None
    assert content.hypervolumes["evolution"].tolist() == [0.0] * 30


def test_the_metric_decides_which_score_counts(full: ReportContent) -> None:
    record = dataclasses.replace(full.records[0], accuracy=0.1, balanced_accuracy=0.2)
    content = dataclasses.replace(full, records=[record], random_records=(), budgets=Budgets())
    by_metric = {
        metric: dataclasses.replace(content, metric=metric).reference_point
        for metric in ("accuracy", "balanced_accuracy")
    }
    assert {metric: point[0] for metric, point in by_metric.items() if point} == {
        "accuracy": 0.1,
        "balanced_accuracy": 0.2,
    }


def test_held_out_networks_are_of_the_target_that_they_name(full: ReportContent) -> None:
    gpu = Latency("a100", 1.0, 0.9, 1.1, 1.0)
    targets = [*full.targets, NamedTarget("a100", "a100 (fp16)")]
    content = dataclasses.replace(full, targets=targets, held_out=[*full.held_out, gpu])
    assert content.held_out_on(0) == full.held_out
    assert content.held_out_on(1) == [gpu]
