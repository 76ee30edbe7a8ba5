from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from nas.errors import BudgetError
from nas.search.objectives import Budgets, latency_excess


def rng():
    return np.random.default_rng(0)


def test_a_latency_budget_is_checked_against_the_upper_end_of_the_interval(space):
    measures = space.measures(np.zeros((1, space.num_genes), dtype=np.int16))
    low, middle, high = 0.9 * 0.41, 0.41, 1.1 * 0.41
    assert Budgets(((high,),)).excess(measures)[0, 0] == pytest.approx(0.0, abs=1e-9)
    for limit in (low, middle):
        assert Budgets(((limit,),)).excess(measures)[0, 0] > 0.05
    assert Budgets(((2 * high,),)).excess(measures)[0, 0] == pytest.approx(-0.5)


def test_every_budget_is_one_constraint(space):
    budgets = Budgets(((4.0,),), max_macs=9000, max_params=1200, max_memory_mib=5)
    measures = space.measures(space.sample(500, rng()))
    fits = (
        (measures.high_ms[:, 0] <= 4.0)
        & (measures.macs <= 9000)
        & (measures.params <= 1200)
        & (measures.memory_mib <= 5)
    )
    excess = budgets.excess(measures)
    assert excess.shape == (500, 4)
    np.testing.assert_array_equal((excess <= 0).all(axis=1), fits)


def test_any_of_several_budget_sets_makes_feasible_and_each_has_its_column(space):
    budgets = Budgets(((2.0,), (4.0,)), max_params=1200)
    measures = space.measures(space.sample(500, rng()))
    high, params = measures.high_ms[:, 0], measures.params
    excess = budgets.excess(measures)
    assert excess.shape == (500, 2)
    np.testing.assert_array_equal((excess <= 0).all(axis=1), (high <= 4.0) & (params <= 1200))
    by_set = budgets.excess_by_set(measures)
    expected = np.stack([(high <= ms) & (params <= 1200) for ms in (2.0, 4.0)], axis=1)
    np.testing.assert_array_equal(by_set <= 0, expected)
    assert 0 < expected[:, 0].sum() < expected[:, 1].sum() < 500


def test_a_budget_set_holds_on_all_targets_at_once_and_none_is_no_limit(space, two_targets):
    measures = two_targets.measures(space.sample(500, rng()))
    one, other = measures.high_ms.T
    budgets = Budgets(((3.0, None), (4.0, 5.0)))
    by_set = budgets.excess_by_set(measures)
    expected = np.stack([one <= 3.0, (one <= 4.0) & (other <= 5.0)], axis=1)
    np.testing.assert_array_equal(by_set <= 0, expected)
    np.testing.assert_array_equal((budgets.excess(measures) <= 0)[:, 0], expected.any(axis=1))
    assert not (expected[:, 0] == expected[:, 1]).all()
    assert (budgets.loosest(0), budgets.loosest(1)) == (4.0, 5.0)


def test_without_budgets_there_are_no_constraints(problem, space):
    codes = space.sample(5, rng())
    assert Budgets().excess(space.measures(codes)).shape == (5, 0)
    assert dataclasses.replace(problem, budgets=Budgets()).constraints is None


@pytest.mark.parametrize("limit", [0.0, -1.0, float("inf"), float("nan")])
def test_a_budget_that_is_no_positive_number_is_refused(limit):
    with pytest.raises(BudgetError, match="has to be a positive number; latency_ms is"):
        Budgets(((limit,),))


@pytest.mark.parametrize(
    ("high_ms", "expected"),
    [((5.0, 7.0), [True, True]), ((5.0, 9.0), [False, True]), ((6.0, 1.0), [False, False])],
)
def test_a_latency_budget_is_kept_when_every_target_is_within_its_limit(high_ms, expected):
    excess = latency_excess(np.array([high_ms]), [(5.0, 8.0), (5.0, None)])
    assert (excess[0] <= 0).tolist() == expected
