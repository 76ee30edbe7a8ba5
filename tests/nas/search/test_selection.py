from __future__ import annotations

import json

import pytest

from nas.search.objectives import Budgets
from nas.search.records import Record
from nas.search.selection import front_document, front_records, write_front

IDS = {"supernet": "s1", "latency_profile": "l1", "data": "d1"}


def record(index, accuracy, ms, *, loss=0.5, params=10, balanced=0.5):
    return Record(
        index=index,
        id=f"id{index}",
        code=(index, 0),
        accuracy=accuracy,
        balanced_accuracy=balanced,
        loss=loss,
        latency_ms=ms,
        low_ms=0.9 * ms,
        high_ms=1.1 * ms,
        macs=100,
        params=params,
        memory_mib=1.0,
        seconds=index / 7,
    )


def indices(records):
    return [record.index for record in records]


def test_the_front_is_non_dominated_and_fastest_first():
    records = [record(0, 0.9, 3.0), record(1, 0.8, 1.0), record(2, 0.85, 3.5), record(3, 0.85, 2)]
    assert indices(front_records(records, Budgets())) == [1, 3, 0]


def test_what_breaks_a_budget_is_not_on_the_front():
    records = [record(0, 0.9, 3.0), record(1, 0.8, 1.0), record(2, 0.95, 2.0, params=99)]
    assert indices(front_records(records, Budgets(latency_ms=3.0))) == [1, 2]
    assert indices(front_records(records, Budgets(max_params=50))) == [1, 0]


def test_failed_evaluations_are_not_on_the_front():
    records = [record(0, float("nan"), 0.1), record(1, 0.8, 1.0)]
    assert indices(front_records(records, Budgets())) == [1]
    assert front_records(records[:1], Budgets()) == []


def test_of_equal_points_the_one_with_the_lower_loss_is_kept():
    records = [record(0, 0.9, 1.0, loss=0.4), record(1, 0.9, 1.0, loss=0.3)]
    assert indices(front_records(records, Budgets())) == [1]


def test_an_equal_accuracy_at_a_higher_latency_is_not_on_the_front():
    records = [record(0, 0.9, 1.0, loss=0.4), record(1, 0.9, 1.1, loss=0.3)]
    assert indices(front_records(records, Budgets())) == [0]


def test_the_metric_decides_what_the_front_is():
    records = [record(0, 0.9, 1.0, balanced=0.2), record(1, 0.8, 2.0, balanced=0.6)]
    assert indices(front_records(records, Budgets())) == [0]
    assert indices(front_records(records, Budgets(), "balanced_accuracy")) == [0, 1]


@pytest.mark.parametrize("shift", [0.0, 5.0])
def test_equal_inputs_give_the_same_file_however_long_they_took(tmp_path, shift):
    def document(shift):
        records = [record(0, 0.9, 3.0), record(1, 0.8, 1.0)]
        for one in records:
            object.__setattr__(one, "seconds", one.seconds + shift)
        return front_document(
            records,
            budgets=Budgets(latency_ms=5.0),
            metric="accuracy",
            describe=lambda code: {"genes": list(code)},
            **IDS,
        )

    write_front(tmp_path / "a.json", document(0.0))
    write_front(tmp_path / "b.json", document(shift))
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    found = json.loads((tmp_path / "a.json").read_text())
    assert {name: found[name] for name in IDS} == IDS
    assert found["budgets"] == {"latency_ms": 5.0}
    first = found["front"][0]
    assert first["code"] == [1, 0]
    assert first["architecture"] == {"genes": [1, 0]}
    assert first["prediction"]["ms"] == 1.0
    assert first["id"] == "id1"
