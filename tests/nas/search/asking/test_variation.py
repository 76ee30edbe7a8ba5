from __future__ import annotations

import numpy as np
import pytest

from nas.search.asking.variation import by_rank, children, tournament
from nas.search.front import crowding, ranks


@pytest.mark.parametrize("m", [1, 2, 3])
def test_crowding_is_that_of_each_front_by_itself(m):
    points = np.random.default_rng(0).integers(0, 8, size=(80, m)).astype(float)
    points[:, -1] += np.random.default_rng(1).random(80)
    front = ranks(points)
    found = crowding(points, front)
    for rank in np.unique(front):
        expected = crowding(points[front == rank])
        np.testing.assert_allclose(found[front == rank], expected)


@pytest.mark.parametrize("m", [2, 3])
def test_the_best_are_those_that_pymoo_keeps(m):
    pytest.importorskip("pymoo")
    from pymoo.core.population import Population
    from pymoo.core.problem import Problem
    from pymoo.operators.survival.rank_and_crowding import RankAndCrowding

    rng = np.random.default_rng(0)
    for _ in range(10):
        points = rng.random((60, m))
        population = Population.new("X", np.arange(60.0)[:, None], "F", points)
        problem = Problem(n_var=1, n_obj=m, xl=0, xu=1)
        kept = RankAndCrowding().do(problem, population, n_survive=25, random_state=rng)
        expected = kept.get("X")[:, 0].astype(int)
        front = ranks(points)
        spread = crowding(points, front)  # of equal ones pymoo draws
        worth = [
            sorted(zip(front[r], -spread[r], strict=True))
            for r in (by_rank(points)[:25], expected)
        ]
        assert worth[0] == worth[1]


def test_one_objective_is_ranked_by_its_value():
    values = np.random.default_rng(0).random((40, 1))
    np.testing.assert_array_equal(by_rank(values), np.argsort(values[:, 0]))


def test_the_best_of_a_sample_wins():
    places = np.random.default_rng(0).permutation(50)
    winners = tournament(places, 4000, 3, np.random.default_rng(1))
    assert winners.shape == (4000,)
    expected = 49 / 4  # the mean of the least of three of 0 ... 49
    assert abs(places[winners].mean() - expected) < 0.6
    every = tournament(places, 20, 2000, np.random.default_rng(1))
    assert (places[every] == 0).all()


def test_children_have_genes_of_the_population_or_neighbours(space):
    rng = np.random.default_rng(0)
    parents = np.zeros((10, space.num_genes), dtype=np.int16)
    born = children(space, parents, 200, rng)
    assert born.shape == (200, space.num_genes)
    assert set(born.sum(axis=1)) == {0, 1}
