from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from nas.result import Corrected, FrontMember, Latency, StockLatency, StockNetwork
from nas.retrain import NetworkResult
from nas.run.compare import Compared, Comparison
from nas.run.front import Front
from nas.run.recommend import Finished, recommend
from nas.search.objectives import Budgets
from search_spaces import load_space
from supernet.scores import Evaluation
from supernet.training.recipe import Recipe

SPACE = load_space("hybrid-tiny")
ARCHITECTURE = SPACE.decode(SPACE.smallest())
IMAGES = 100


def member(id: str, accuracy: float, ms: float) -> FrontMember:
    latency = Latency("cpu", ms, 0.9 * ms, 1.1 * ms, ms)
    return FrontMember(
        id, (0,), ARCHITECTURE, accuracy, accuracy, 1 - accuracy, (latency,), 1, 1, 1.0
    )


def right(count: int) -> tuple[bool, ...]:
    return tuple(i < count for i in range(IMAGES))


def stock(ms: float, accuracy: float) -> StockNetwork:
    return StockNetwork(
        "lcnet_050", 48, None, 3, accuracy, accuracy, (StockLatency("cpu", ms, True),), 1, 1.0,
        Path("baselines/lcnet"),
    )  # fmt: skip


def finished(
    ours: int, theirs: int, ms: float, budget: float | None = 10.0, own_ms: float = 4.0
) -> Finished:
    front = Front(
        (member("a", 0.9, own_ms), member("b", 0.8, 2.0)), Budgets(((budget,),)), "accuracy"
    )
    found = {"a": Compared(ours / IMAGES, right(ours))}
    stocks = {
        "lcnet": Compared(theirs / IMAGES, right(theirs), {"cpu": StockLatency("cpu", ms, True)})
    }
    comparison = Comparison(IMAGES, {}, {**found, **stocks})
    return Finished(
        Path("run"), front, {}, comparison, [stock(ms, theirs / IMAGES)], ["cpu"], 0.9, 200
    )


def test_the_best_within_the_budget_is_recommended_with_its_reason() -> None:
    found = recommend(finished(90, 80, 8.0))[0]
    assert found.id == "a" and found.path is None
    assert found.reason == (
        "It has the best accuracy of the 2 networks of the front that keep 10 ms at 90% "
        "confidence: 90.0% (86.0 to 93.0) of the 200 validation images, in 4 ms (measured)."
    )


def test_of_those_trained_alone_the_best_is_recommended_whatever_was_expected_of_them() -> None:
    found = finished(90, 80, 8.0)
    expected = {"a": Corrected("accuracy", 0.95, 0.9, 1.0), "b": Corrected("accuracy", 0.5, 0, 1)}
    members = [
        dataclasses.replace(each, corrected=expected[each.id]) for each in found.front.members
    ]
    front = dataclasses.replace(found.front, members=tuple(members))
    scores = {"a": Evaluation(0.7, 0.7, 1.0), "b": Evaluation(0.8, 0.8, 0.9)}
    results = {
        id: NetworkResult(id, scores[id], scores[id], True, 0, Recipe(epochs=1), [], 1.0)
        for id in "ab"
    }
    front = front.with_retrained(results)
    (best,) = recommend(dataclasses.replace(found, front=front, retrained=results))
    assert best.id == "b" and "the best accuracy of the 2 networks" in best.reason


def test_a_network_that_was_measured_beyond_the_budget_is_not_recommended() -> None:
    found = recommend(finished(90, 80, 8.0, budget=3.0))[0]
    assert found.id == "b" and "the only network of the front that keeps 3 ms" in found.reason


@pytest.mark.parametrize(
    ("ours", "theirs", "ms", "said"),
    [
        (90, 60, 8.0, r"^The search paid: 30.0 points \(\+.* more accurate than the best stock"),
        (60, 90, 8.0, r"^The search did not pay: .* is 30.0 points .* Use that one: baselines"),
        (90, 90, 8.0, r"^The search paid in time: no clear difference .* 4 ms instead of 8 ms\.$"),
        (90, 90, 4.1, r"^The search did not pay: .* is hardly slower \(4 ms instead of 4.1 ms"),
        (90, 90, 3.9, r"^The search did not pay: no clear difference .* is no slower \(4 ms inst"),
        (90, 60, 12.0, r"^No stock network that was tried keeps 10 ms: the fastest, lcnet_050"),
    ],
)
def test_one_sentence_says_whether_the_search_paid(
    ours: int, theirs: int, ms: float, said: str
) -> None:
    import re

    assert re.search(said, recommend(finished(ours, theirs, ms))[0].verdict)


def test_a_retrained_network_that_was_not_compared_gets_no_verdict() -> None:
    found = finished(90, 80, 8.0)
    scores = Evaluation(0.95, 0.95, 0.1)
    results = {"a": NetworkResult("a", scores, scores, True, 0, Recipe(epochs=1), [], 1.0)}
    comparison = dataclasses.replace(
        found.comparison,
        shared={"a": Compared(0.6, right(60))},
        networks={"lcnet": found.comparison.networks["lcnet"]},
    )
    known = dataclasses.replace(found, comparison=comparison)
    assert recommend(known)[0].verdict.startswith("The search did not pay")  # with shared weights
    assert recommend(dataclasses.replace(known, retrained=results))[0].verdict == ""


def test_a_predicted_stock_network_keeps_a_budget_by_the_upper_end_as_ours_do() -> None:
    found = finished(90, 60, 8.0)
    predicted = StockLatency("cpu", 8.0, measured=False, high_ms=11.0)
    stocks = [dataclasses.replace(found.stock[0], latencies=(predicted,))]
    said = recommend(dataclasses.replace(found, stock=stocks))[0].verdict
    assert said.startswith("No stock network that was tried keeps 10 ms: ") and "11 ms" in said


def on_two(theirs: tuple[float, ...]) -> Finished:
    """Ours takes 4 ms on a cpu and 40 ms on a phone; the stock network is known on the first."""
    found = finished(90, 90, 1.0)
    latencies = (Latency("cpu", 4.0, 3.0, 5.0, 4.0), Latency("phone", 40.0, 30.0, 50.0, 40.0))
    ours = dataclasses.replace(found.front.members[0], latencies=latencies)
    names = ["cpu", "phone"]
    known = tuple(StockLatency(name, ms, True) for name, ms in zip(names, theirs, strict=False))
    return dataclasses.replace(
        found,
        front=Front((ours,), Budgets(((5.0, 60.0),)), "accuracy"),
        stock=[dataclasses.replace(found.stock[0], latencies=known)],
        names=names,
    )


def test_on_several_targets_all_of_them_count() -> None:
    assert recommend(on_two((4.5,)))[0].verdict == (
        "Whether a stock network keeps 5 ms on cpu and 60 ms on phone is not known: nothing says "
        "how long they take on phone."
    )
    said = recommend(on_two((5.0, 41.0)))[0].verdict
    assert said.startswith("The search did not pay: no clear difference")
    times = "(4 ms instead of 5 ms on cpu and 40 ms instead of 41 ms on phone)"
    assert f"which is not clearly slower on each of them {times}." in said
    assert "paid in time" in recommend(on_two((5.0, 50.0)))[0].verdict
    said = recommend(on_two((7.0, 41.0)))[0].verdict
    assert said.startswith(
        "No stock network that was tried keeps 5 ms on cpu and 60 ms on phone: "
    )
    assert "the fastest on cpu" in said


def test_nothing_is_said_without_stock_networks() -> None:
    alone = dataclasses.replace(finished(90, 80, 8.0), stock=[])
    assert recommend(alone)[0].verdict == ""


def test_without_a_budget_the_most_accurate_is_recommended() -> None:
    found = recommend(finished(90, 60, 8.0, budget=None))[0]
    assert found.id == "a" and "keep" not in found.reason and "within" not in found.verdict


def test_a_budget_that_nothing_keeps_is_said() -> None:
    found = recommend(finished(90, 80, 8.0, budget=1.0))[0]
    assert found.id is None and found.reason == "No network of the front keeps 1 ms."
