from __future__ import annotations

import json

import pytest

from nas.errors import RunError
from nas.result import Latency
from nas.search.front_file import (
    best_within,
    front_among,
    front_members,
    read_front,
    within,
    write_front,
)
from nas.search.objectives import Budgets
from nas.search.records import Record
from search_spaces import Architecture, load_space

TARGET = {"name": "cpu", "target": {"device": "cpu"}, "latency_profile": "l1"}


def record(index, accuracy, ms, *, other=None, loss=0.5, params=10, balanced=0.5):
    latencies = {"cpu": ms} if other is None else {"cpu": ms, "a100": other}
    return Record(
        index=index,
        id=f"id{index}",
        code=(index, 0),
        accuracy=accuracy,
        balanced_accuracy=balanced,
        loss=loss,
        latencies=tuple(
            Latency(name, each, 0.9 * each, 1.1 * each) for name, each in latencies.items()
        ),
        macs=100,
        params=params,
        memory_mib=1.0,
        seconds=index / 7,
    )


@pytest.fixture(scope="module")
def architecture() -> Architecture:
    space = load_space("macro")
    return space.decode(space.smallest())


def written(path, architecture, records, budgets, targets=(TARGET,)):
    """The front's file, and its content."""
    front = front_members(records, budgets, "accuracy", lambda code: architecture)
    write_front(
        path,
        front,
        budgets=budgets,
        metric="accuracy",
        evaluations=len(records),
        supernet="s1",
        targets=targets,
        data="d1",
    )
    return json.loads(path.read_text())


def indices(records):
    return [record.index for record in records]


def test_the_front_is_non_dominated_and_fastest_first():
    records = [record(0, 0.9, 3.0), record(1, 0.8, 1.0), record(2, 0.85, 3.5), record(3, 0.85, 2)]
    assert indices(front_among(records, Budgets())) == [1, 3, 0]


def test_what_breaks_a_budget_is_not_on_the_front():
    records = [record(0, 0.9, 3.0), record(1, 0.8, 1.0), record(2, 0.95, 2.0, params=99)]
    assert indices(front_among(records, Budgets(((3.0,),)))) == [1, 2]
    assert indices(front_among(records, Budgets(max_params=50))) == [1, 0]


def test_failed_evaluations_are_not_on_the_front():
    records = [record(0, float("nan"), 0.1), record(1, 0.8, 1.0)]
    assert indices(front_among(records, Budgets())) == [1]
    assert front_among(records[:1], Budgets()) == []


def test_of_equal_points_the_one_with_the_lower_loss_is_kept():
    records = [record(0, 0.9, 1.0, loss=0.4), record(1, 0.9, 1.0, loss=0.3)]
    assert indices(front_among(records, Budgets())) == [1]


def test_an_equal_accuracy_at_a_higher_latency_is_not_on_the_front():
    records = [record(0, 0.9, 1.0, loss=0.4), record(1, 0.9, 1.1, loss=0.3)]
    assert indices(front_among(records, Budgets())) == [0]


def test_the_metric_decides_what_the_front_is():
    records = [record(0, 0.9, 1.0, balanced=0.2), record(1, 0.8, 2.0, balanced=0.6)]
    assert indices(front_among(records, Budgets())) == [0]
    assert indices(front_among(records, Budgets(), "balanced_accuracy")) == [0, 1]


def test_equal_inputs_give_the_same_file_however_long_they_took(tmp_path, architecture):
    records = [record(0, 0.9, 3.0), record(1, 0.8, 1.0)]
    found = written(tmp_path / "a.json", architecture, records, Budgets(((5.0,),)))
    for one in records:
        object.__setattr__(one, "seconds", one.seconds + 5.0)
    assert written(tmp_path / "b.json", architecture, records, Budgets(((5.0,),))) == found
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert (found["supernet"], found["data"], found["evaluations"]) == ("s1", "d1", 2)
    assert found["targets"] == [TARGET]
    assert found["budgets"] == {}
    assert found["answers"] == [{"limits_ms": [5.0], "best": "id0"}]
    first = found["front"][0]
    assert (first["id"], first["code"]) == ("id1", [1, 0])
    assert first["architecture"] == architecture.to_dict()
    assert [latency["predicted_ms"] for latency in first["latencies"]] == [1.0]


def test_a_front_is_read_as_it_was_written(tmp_path, architecture):
    records = [record(0, 0.9, 3.0, other=1.0), record(1, 0.8, 1.0, other=2.0)]
    written(tmp_path / "front.json", architecture, records, Budgets(((5.0, 5.0),)))
    front = front_members(records, Budgets(((5.0, 5.0),)), "accuracy", lambda code: architecture)
    assert read_front(tmp_path / "front.json") == front


def test_a_front_of_another_version_is_refused(tmp_path):
    (tmp_path / "front.json").write_text('{"schema": 1, "front": []}')
    with pytest.raises(RunError, match=r"has schema version 1; this version of nas reads 2"):
        read_front(tmp_path / "front.json")


def test_each_set_of_budgets_has_its_best_and_the_front_holds_all_of_them():
    records = [record(0, 0.7, 1.0), record(1, 0.8, 2.0), record(2, 0.9, 3.0), record(3, 0.95, 9.0)]
    budgets = Budgets(((0.5,), (1.2,), (3.4,)))
    front = front_among(records, budgets)
    assert indices(front) == [0, 1, 2]
    none, fast, slow = best_within(front, budgets)
    assert none is None
    assert indices([fast, slow]) == [0, 2]


def test_of_equal_accuracies_the_lower_loss_is_best():
    here = [record(0, 0.9, 1.0, other=3.0, loss=0.4), record(1, 0.9, 2.0, other=1.0, loss=0.3)]
    budgets = Budgets(((5.0, 5.0), (1.5, 5.0)))
    front = front_among(here, budgets)
    assert indices(front) == [0, 1]
    assert indices(best_within(front, budgets)) == [1, 0]


def test_on_two_targets_the_front_is_by_accuracy_and_both_latencies(tmp_path, architecture):
    records = [
        record(0, 0.9, 3.0, other=1.0),
        record(1, 0.9, 1.0, other=3.0),
        record(2, 0.9, 3.0, other=3.0),
        record(3, 0.8, 2.0, other=2.0),
        record(4, 0.99, 1.0, other=5.0),
    ]
    budgets = Budgets(((4.0, 4.0),))
    assert indices(front_among(records, budgets)) == [1, 3, 0]
    found = written(tmp_path / "front.json", architecture, records, budgets)
    assert found["answers"] == [{"limits_ms": [4.0, 4.0], "best": "id1"}]
    assert found["front"][0]["latencies"] == [
        {"target": "cpu", "predicted_ms": 1.0, "low_ms": 0.9, "high_ms": 1.1, "measured_ms": None},
        {"target": "a100", "predicted_ms": 3.0, "low_ms": 2.7, "high_ms": 3.3000000000000003,
         "measured_ms": None},
    ]  # fmt: skip


def test_a_record_survives_its_line():
    one = record(1, 0.9, 1.0, other=3.0)
    assert Record.from_dict(json.loads(json.dumps(one.to_dict()))) == one


def test_a_line_of_another_version_is_refused():
    line = {**record(1, 0.9, 1.0).to_dict(), "latency_ms": 1.0}
    with pytest.raises(RunError, match="unknown fields: latency_ms. It was made by another ver"):
        Record.from_dict(line)


def test_members_and_records_keep_budgets_by_one_rule(architecture):
    records = [record(index, 0.5 + index / 10, 1.0 + index) for index in range(5)]
    front = front_members(records, Budgets(), "accuracy", lambda code: architecture)
    for limit in (1.1, 2.2, 2.3, 9.0):  # two of them are upper ends of an interval
        kept = within(front, Budgets(((limit,),)))
        assert [one.id for one in kept] == [
            one.id for one in within(records, Budgets(((limit,),)))
        ]
