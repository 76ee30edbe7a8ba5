"""Which members of a front are within the budgets, as predicted and as measured."""

from __future__ import annotations

import dataclasses

import pytest

from nas.result import FrontMember, Latency, StockLatency
from nas.run.compare import Compared, Comparison
from nas.run.front import Front
from nas.run.measure import _nothing_kept, unanswered, unlike_predicted, with_measured
from nas.search.objectives import Budgets
from nas.settings import Settings
from search_spaces import load_space

ARCHITECTURE = load_space("macro").decode(load_space("macro").smallest())


def member(id: str, accuracy: float, ms: float, measured_ms: float | None = None) -> FrontMember:
    latency = Latency("cpu", ms, 0.9 * ms, 1.1 * ms, measured_ms)
    return FrontMember(
        id, (0,), ARCHITECTURE, accuracy, accuracy / 2, 0.1, (latency,), 10, 10, 1.0
    )


@pytest.fixture
def front() -> Front:
    members = (
        member("fast", 0.6, 1.0, 1.0),
        member("slow", 0.7, 2.0, 2.6),  # slower than predicted
        member("best", 0.8, 4.0),
    )
    return Front(members, Budgets(((1.2,), (2.5,), (5.0,))), "accuracy")


def test_each_set_of_budgets_has_its_best_member(front: Front) -> None:
    assert [answer.best for answer in front.answers()] == ["fast", "fast", "best"]
    assert [answer.limits_ms for answer in front.answers()] == [(1.2,), (2.5,), (5.0,)]


def test_the_best_of_each_set_are_chosen_once_the_most_accurate_first(front: Front) -> None:
    assert [one.id for one in front.chosen(1)] == ["best", "fast"]
    assert [one.id for one in front.chosen(3)] == ["best", "slow", "fast"]
    assert front.chosen(0) == []


def test_fewer_networks_than_asked_for_are_said(front: Front) -> None:
    assert front.fewer_than(1, ("cpu",)) == []
    assert front.fewer_than(2, ("cpu",)) == [
        "the front has 1 networks within 1.2 ms, fewer than the 2 that were asked for",
        "the front has 1 networks within 2.5 ms, fewer than the 2 that were asked for",
    ]
    free = dataclasses.replace(front, budgets=Budgets())
    assert free.fewer_than(9, ("cpu",)) == [
        "the front has 3 networks, fewer than the 9 that were asked for"
    ]


def test_what_was_measured_beyond_all_budgets_is_not_kept(front: Front) -> None:
    tight = dataclasses.replace(front, budgets=Budgets(((1.2,), (2.5,))))
    assert [one.id for one in tight.kept()] == ["fast"]
    (only,) = dataclasses.replace(front, budgets=Budgets(((2.5,),))).answers()
    assert only.best == "fast"


def test_the_metric_decides_which_is_best(front: Front) -> None:
    balanced = [0.9, 0.1, 0.2]
    members = tuple(
        dataclasses.replace(one, balanced_accuracy=score)
        for one, score in zip(front.members, balanced, strict=True)
    )
    by_balance = dataclasses.replace(front, members=members, metric="balanced_accuracy")
    assert [answer.best for answer in by_balance.answers()] == ["fast"] * 3


def test_measured_latencies_go_to_the_target_that_they_name(front: Front) -> None:
    targets = [
        {"name": "a100", "networks": {"best": {"ms": 9.0}}},
        {"name": "cpu", "networks": {"best": {"ms": 4.5}}},
    ]
    measured = with_measured(front, targets)
    assert [one.latencies[0].measured_ms for one in measured.members] == [None, None, 4.5]


def test_budgets_without_a_network_are_told_with_the_reason(front: Front) -> None:
    none = dataclasses.replace(
        front,
        members=(member("slow", 0.7, 2.0, 2.6), member("best", 0.8, 4.0)),
    )
    said = unanswered(none, ("cpu",))
    assert said == [
        "no evaluated architecture is predicted within 1.2 ms: evaluate more (--evaluations), "
        "or raise the budget",
        "none of the 1 predicted within 2.5 ms was measured within it",
    ]


@pytest.mark.parametrize(
    ("factor", "device", "words"),
    [
        (1.4, "cpu", "take 1.40 times as long as predicted (median of 5): this machine is slower"),
        (0.7, "cpu", "take 0.70 times as long as predicted (median of 5): this machine is faster"),
        (1.4, "h100", "the device is slower than the model of it. Measure networks on it"),
        (1.2, "cpu", None),
        (0.85, "cpu", None),
    ],
)
def test_a_machine_whose_speed_has_changed_is_told_in_one_line(
    factor: float, device: str, words: str | None
) -> None:
    # One network was disturbed, and one was not measured: the median does not see them.
    measured = [1.0 * factor, 2.0 * factor, 3.0 * factor, 4.0 * factor, 50.0, None]
    members = [member(str(i), 0.5, i + 1.0, ms) for i, ms in enumerate(measured)]
    front = Front(tuple(members), Budgets(((9.0,),)), "accuracy")
    targets = [{"name": "cpu", "target": {"device": device}}]
    said = unlike_predicted(front, targets, Settings())
    narrowed = unlike_predicted(front, targets, Settings(resolutions=(48, 64), resolution=64))
    assert len(said) == len(narrowed) == (words is not None)
    assert all(line.endswith("--resolution 64 and --resolutions 48,64.") for line in narrowed)
    assert all(words in line and "`nas measure`" in line for line in said if words)


def test_two_networks_tell_nothing_of_a_machines_speed() -> None:
    front = Front((member("a", 0.5, 1.0, 2.0), member("b", 0.5, 2.0, 4.0)), Budgets(), "accuracy")
    targets = [{"name": "cpu", "target": {"device": "cpu"}}]
    assert unlike_predicted(front, targets, Settings()) == []


def test_when_nothing_is_within_the_budgets_the_closest_is_told() -> None:
    def two(id: str, gpu_ms: float, cpu_ms: float) -> FrontMember:
        both = Latency("a100", 1.0, 0.9, 1.1, gpu_ms), Latency("cpu", 30.0, 29.0, 31.0, cpu_ms)
        return dataclasses.replace(member(id, 0.5, 1.0), latencies=both)

    front = Front((two("a", 1.0, 90.0), two("b", 2.0, 50.0)), Budgets(((5.0, 40.0),)), "accuracy")
    said = str(_nothing_kept(front, ("a100", "cpu")))
    assert "none was measured within it: the closest took 2 ms on a100 and 50 ms on cpu." in said


@pytest.mark.parametrize(("again", "counts"), [(9.0, 2.6), (2.0, 2.0)])
def test_of_two_measurements_of_a_network_the_faster_counts(
    front: Front, again: float, counts: float
) -> None:
    compared = Compared(0.5, (True, False), {"cpu": StockLatency("cpu", again, True)})
    known = Comparison(2, {}, {"slow": compared}).applied(front)
    assert [one.latencies[0].measured_ms for one in known.members] == [1.0, counts, None]


def test_a_prediction_made_at_the_end_replaces_no_measurement(front: Front) -> None:
    compared = Compared(0.5, (True, False), {"cpu": StockLatency("cpu", 0.5, False)})
    known = Comparison(2, {}, {"slow": compared, "best": compared}).applied(front)
    assert [one.latencies[0].measured_ms for one in known.members] == [1.0, 2.6, None]
