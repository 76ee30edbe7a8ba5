from __future__ import annotations

import numpy as np

from nas.ranking.choosing import along, promising, spread

SCORE = np.random.default_rng(0).normal(size=60)
COST = np.random.default_rng(1).uniform(1, 9, size=60)


def test_networks_are_spread_over_score_and_cost() -> None:
    rows = spread(SCORE, COST, 6, np.random.default_rng(0))
    places = np.argsort(np.argsort(SCORE))[rows] // 10
    assert places.tolist() == [0, 1, 2, 3, 4, 5]
    costs = np.argsort(np.argsort(COST))[rows] / 60
    wanted = np.sort((np.arange(6) + 0.5) / 6)
    assert np.abs(np.sort(costs) - wanted).max() < 0.15


def test_all_are_chosen_where_there_are_no_more() -> None:
    assert set(spread(SCORE[:4], COST[:4], 9, np.random.default_rng(0))) == {0, 1, 2, 3}
    assert not len(spread(SCORE, COST, 0, np.random.default_rng(0)))


def test_a_front_is_walked_from_end_to_end() -> None:
    assert along([7, 3, 9, 1, 4], 3).tolist() == [7, 9, 4]
    assert along([7, 3], 3).tolist() == [7, 3]
    assert not len(along([], 3))


def test_the_most_hopeful_within_each_budget_come_first() -> None:
    mean = np.array([0.1, 0.2, 0.3, 0.4])
    std = np.array([0.01, 0.01, 0.01, 0.35])
    latency = np.array([[4.0], [3.0], [2.0], [1.0]])
    within = np.array([[True, False], [True, True], [True, True], [False, False]])
    rows = promising(mean, std, latency, within, 4, taken=[])
    assert rows[0] == 0  # the best of the first budget
    assert rows[1] == 3  # the least known of the front
    assert rows[2] == 1  # the best of the second budget
    assert rows[3] == 2


def test_what_was_trained_is_not_chosen_again() -> None:
    mean, std = np.array([0.1, 0.2, 0.3]), np.full(3, 0.01)
    inside = np.ones((3, 1), dtype=bool)
    assert promising(mean, std, np.ones((3, 1)), inside, 5, taken=[0]).tolist() == [1, 2]
