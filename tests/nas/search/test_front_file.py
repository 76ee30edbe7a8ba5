from __future__ import annotations

import json

import pytest

from nas.search.front_file import best_records, front_document, front_records, write_front
from nas.search.objectives import Budgets
from nas.search.records import Interval, Record

IDS = {"supernet": "s1", "data": "d1"}
TARGET = {"target": {"device": "cpu"}, "latency_profile": "l1"}


def record(index, accuracy, ms, *, other=None, loss=0.5, params=10, balanced=0.5):
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
        others=() if other is None else (Interval(other, 0.9 * other, 1.1 * other),),
    )


def indices(records):
    return [record.index for record in records]


def test_the_front_is_non_dominated_and_fastest_first():
    records = [record(0, 0.9, 3.0), record(1, 0.8, 1.0), record(2, 0.85, 3.5), record(3, 0.85, 2)]
    assert indices(front_records(records, Budgets())) == [1, 3, 0]


def test_what_breaks_a_budget_is_not_on_the_front():
    records = [record(0, 0.9, 3.0), record(1, 0.8, 1.0), record(2, 0.95, 2.0, params=99)]
    assert indices(front_records(records, Budgets(((3.0,),)))) == [1, 2]
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
            budgets=Budgets(((5.0,),)),
            metric="accuracy",
            describe=lambda code: {"genes": list(code)},
            targets=[TARGET],
            **IDS,
        )

    write_front(tmp_path / "a.json", document(0.0))
    write_front(tmp_path / "b.json", document(shift))
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    found = json.loads((tmp_path / "a.json").read_text())
    assert {name: found[name] for name in IDS} == IDS
    assert found["latency_profile"] == "l1"
    assert found["targets"] == [TARGET]
    assert found["budgets"] == {"latency_ms": 5.0}
    assert found["answers"] == [{"limits_ms": [5.0], "best": "id0"}]
    first = found["front"][0]
    assert first["code"] == [1, 0]
    assert first["architecture"] == {"genes": [1, 0]}
    assert first["prediction"]["ms"] == 1.0
    assert first["id"] == "id1"
    assert "latencies" not in first


def test_each_question_has_its_best_answer_and_the_front_those_of_all():
    records = [record(0, 0.7, 1.0), record(1, 0.8, 2.0), record(2, 0.9, 3.0), record(3, 0.95, 9.0)]
    budgets = Budgets(((0.5,), (1.2,), (3.4,)))
    front = front_records(records, budgets)
    assert indices(front) == [0, 1, 2]
    none, fast, slow = best_records(front, budgets)
    assert none is None
    assert indices([fast, slow]) == [0, 2]


def test_of_equal_accuracies_the_lower_loss_answers():
    here = [record(0, 0.9, 1.0, other=3.0, loss=0.4), record(1, 0.9, 2.0, other=1.0, loss=0.3)]
    budgets = Budgets(((5.0, 5.0), (1.5, 5.0)))
    front = front_records(here, budgets)
    assert indices(front) == [0, 1]
    assert indices(best_records(front, budgets)) == [1, 0]


def test_on_two_targets_the_front_is_by_accuracy_and_both_latencies():
    records = [
        record(0, 0.9, 3.0, other=1.0),
        record(1, 0.9, 1.0, other=3.0),
        record(2, 0.9, 3.0, other=3.0),
        record(3, 0.8, 2.0, other=2.0),
        record(4, 0.99, 1.0, other=5.0),
    ]
    budgets = Budgets(((4.0, 4.0),))
    assert indices(front_records(records, budgets)) == [1, 3, 0]
    document = front_document(
        records,
        budgets=budgets,
        metric="accuracy",
        describe=lambda code: {},
        targets=[TARGET, {**TARGET, "latency_profile": "l2"}],
        **IDS,
    )
    assert document["budgets"] == {}
    assert document["answers"] == [{"limits_ms": [4.0, 4.0], "best": "id1"}]
    first = document["front"][0]
    assert first["prediction"] == {"ms": 1.0, "low_ms": 0.9, "high_ms": 1.1}
    assert [latency["ms"] for latency in first["latencies"]] == [1.0, 3.0]


def test_a_record_with_several_latencies_survives_its_line():
    one = record(1, 0.9, 1.0, other=3.0)
    assert Record.from_dict(json.loads(json.dumps(one.to_dict()))) == one
    assert "latencies" not in record(1, 0.9, 1.0).to_dict()
