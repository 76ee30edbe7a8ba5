from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from nas.errors import BudgetError, InfeasibleError
from nas.search.objectives import Budgets, check_feasible
from nas.search.problem import error
from nas.units import format_ms
from supernet.scores import Evaluation


def rng():
    return np.random.default_rng(0)


def test_a_latency_budget_is_checked_against_the_upper_end_of_the_interval(space):
    codes = space.sample(50, rng())
    excess = Budgets(latency_ms=4.0).excess(space.measures(codes))
    np.testing.assert_allclose(excess[:, 0], space.measures(codes).high_ms / 4.0 - 1)


def test_every_budget_is_one_constraint(space):
    budgets = Budgets(latency_ms=4.0, max_macs=9000, max_params=1200, max_memory_mib=5)
    measures = space.measures(space.sample(500, rng()))
    fits = (
        (measures.high_ms <= 4.0)
        & (measures.macs <= 9000)
        & (measures.params <= 1200)
        & (measures.memory_mib <= 5)
    )
    excess = budgets.excess(measures)
    assert excess.shape == (500, 4)
    np.testing.assert_array_equal((excess <= 0).all(axis=1), fits)


def test_without_budgets_there_are_no_constraints(problem, space):
    codes = space.sample(5, rng())
    assert Budgets().excess(space.measures(codes)).shape == (5, 0)
    assert dataclasses.replace(problem, budgets=Budgets()).constraints is None


@pytest.mark.parametrize("limit", [0.0, -1.0, float("inf"), float("nan")])
def test_a_budget_that_is_no_positive_number_is_refused(limit):
    with pytest.raises(BudgetError, match="has to be a positive number; latency_ms is"):
        Budgets(latency_ms=limit)


def test_an_infeasible_latency_names_the_fastest_and_says_what_to_do(space):
    with pytest.raises(InfeasibleError) as caught:
        check_feasible(
            space,
            Budgets(latency_ms=0.2),
            space.measures,
            rng(),
            name="formula",
            target="cpu (float32, batch 1, 2 threads)",
        )
    assert str(caught.value) == (
        "No architecture of 'formula' runs within 0.2 ms on cpu (float32, batch 1, 2 threads):\n"
        "the fastest of 20,000 is predicted to take up to 0.451 ms. "
        "Raise --budget, or choose a smaller space (`nas spaces`)."
    )


def test_infeasible_budgets_together_name_those_that_were_missed(space):
    with pytest.raises(InfeasibleError) as caught:
        check_feasible(space, Budgets(latency_ms=0.6, max_params=50), space.measures, rng())
    assert str(caught.value) == (
        "No architecture of 'the space' keeps within a latency of 0.6 ms and 50 parameters:\n"
        "the nearest of 20,000 needs a latency of 0.451 ms and 100 parameters. "
        "Raise --max-params, or choose a smaller space (`nas spaces`)."
    )


def test_the_share_that_fits_is_told(space):
    measures = space.measures(space.sample(20_000, rng()))
    found = check_feasible(space, Budgets(latency_ms=4.0), space.measures, rng())
    assert found.share == pytest.approx((measures.high_ms <= 4.0).mean(), abs=0.02)
    assert found.binds
    assert found.fastest_ms == pytest.approx(1.1 * 0.41)
    assert str(found).endswith("of 20,000 sampled architectures are within the budget.")


def test_a_budget_that_all_keep_does_not_bind(space):
    found = check_feasible(space, Budgets(latency_ms=100.0), space.measures, rng())
    assert not found.binds
    assert str(found) == (
        "The budget does not bind: every one of 20,000 sampled architectures is predicted within "
        f"it. A latency below {format_ms(found.slowest_ms)} would bind; "
        f"{format_ms(found.median_ms)} would leave half of them."
    )
    below = Budgets(latency_ms=0.999 * found.slowest_ms)
    assert check_feasible(space, below, space.measures, rng()).binds
    half = check_feasible(space, Budgets(latency_ms=found.median_ms), space.measures, rng())
    assert half.share == pytest.approx(0.5, abs=0.02)


def test_a_budget_that_nearly_all_keep_hardly_binds(space):
    high = space.measures(space.sample(20_000, rng())).high_ms
    budgets = Budgets(latency_ms=float(np.quantile(high, 0.99)))
    found = check_feasible(space, budgets, space.measures, rng())
    assert str(found).startswith("The budget hardly binds: all but ")
    assert 150 < 20_000 * (1 - found.share) < 250


def test_without_a_budget_the_sampled_latencies_are_told(space):
    found = check_feasible(space, Budgets(), space.measures, rng())
    assert str(found).startswith("There is no budget. 20,000 sampled architectures")


def test_a_budget_that_only_unsampled_architectures_keep_is_feasible(space):
    class LargeOnes(type(space)):
        def sample(self, n, rng):
            return np.maximum(super().sample(n, rng), 1)

    space = LargeOnes()
    found = check_feasible(space, Budgets(latency_ms=0.5), space.measures, rng())
    assert found.share == 0.0
    assert "but smaller ones are" in str(found)


def test_the_descent_begins_with_the_smallest_that_it_was_given(space):
    class Frozen(type(space)):
        def sample(self, n, rng):
            return np.ones((n, self.num_genes), dtype=np.int16)

        def mutate(self, codes, rng):
            return codes

    space = Frozen()
    smallest = np.zeros(space.num_genes, dtype=np.int16)
    with pytest.raises(InfeasibleError):
        check_feasible(space, Budgets(latency_ms=0.5), space.measures, rng())
    check_feasible(space, Budgets(latency_ms=0.5), space.measures, rng(), smallest=smallest)


def test_equal_accuracies_are_ordered_by_loss():
    assert error(0.9, 0.2) < error(0.9, 0.3) < error(0.9, 50.0) < error(0.9, float("nan"))


@pytest.mark.parametrize("images", [270, 10_000, 1_000_000])
def test_a_loss_reorders_no_two_different_accuracies(images):
    for correct in (1, images // 2, images - 1):
        better, worse = (correct + 1) / images, correct / images
        assert error(better, float("inf")) < error(worse, 0.0)


def test_a_failed_evaluation_is_told_as_nan(problem):
    nothing = Evaluation(float("nan"), float("nan"), float("nan"))
    assert np.isnan(problem.objectives(nothing, 1.0)[0])


def test_the_metric_decides_which_score_is_told(problem):
    evaluation = Evaluation(0.9, 0.7, 0.5)
    balanced = dataclasses.replace(problem, metric="balanced_accuracy")
    np.testing.assert_allclose(problem.objectives(evaluation, 2.0), [0.1, 2.0], rtol=1e-8)
    np.testing.assert_allclose(balanced.objectives(evaluation, 2.0), [0.3, 2.0], rtol=1e-8)
