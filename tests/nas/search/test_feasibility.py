from __future__ import annotations

import numpy as np
import pytest

from nas.errors import InfeasibleError
from nas.search.feasibility import check_feasible
from nas.search.objectives import Budgets
from nas.units import format_ms


def rng():
    return np.random.default_rng(0)


def test_an_infeasible_latency_names_the_fastest_and_says_what_to_do(space):
    with pytest.raises(InfeasibleError) as caught:
        check_feasible(
            space,
            Budgets(((0.2,),)),
            space.measures,
            rng(),
            name="formula",
            targets=["cpu (float32, batch 1, 2 threads)"],
        )
    assert str(caught.value) == (
        "No architecture of 'formula' runs within 200 us on cpu (float32, batch 1, 2 threads):\n"
        "the fastest of 20,000 is predicted to take up to 451 us. "
        "Raise --budget, or choose a smaller space (`nas spaces`)."
    )


def test_infeasible_budgets_together_name_those_that_were_missed(space):
    with pytest.raises(InfeasibleError) as caught:
        check_feasible(space, Budgets(((0.6,),), max_params=50), space.measures, rng())
    assert str(caught.value) == (
        "No architecture of 'the space' keeps within a latency of 600 us and 50 parameters:\n"
        "the nearest of 20,000 needs a latency of 451 us and 100 parameters. "
        "Raise --max-params, or choose a smaller space (`nas spaces`)."
    )


def test_of_several_budgets_those_that_nothing_keeps_are_named(space):
    budgets = Budgets(((0.2,), (0.3,), (4.0,)))
    with pytest.raises(
        InfeasibleError, match=r"runs within 200 us or 300 us on cpu:\nthe fastest"
    ):
        check_feasible(space, budgets, space.measures, rng(), name="formula", targets=["cpu"])


def test_a_budget_that_only_one_of_two_targets_keeps_is_infeasible(space, two_targets):
    options = {"targets": ["a100 (fp16)", "cpu (fp32)"], "names": ["a100", "cpu"]}
    with pytest.raises(InfeasibleError) as caught:
        check_feasible(space, Budgets(((2.0, 2.0),)), two_targets.measures, rng(), **options)
    message = str(caught.value)
    assert "within a latency of 2 ms on a100 (fp16) and a latency of 2 ms on cpu (fp32)" in message
    assert "ms on a100 and a latency of " in message
    assert "Raise --budget, or choose a smaller space" in message


def test_the_share_within_each_budget_set_is_told(space):
    budgets = Budgets(((2.0,), (4.0,), (100.0,)))
    found = check_feasible(space, budgets, space.measures, rng(), names=["cpu"])
    high = space.measures(space.sample(20_000, rng())).high_ms[:, 0]
    assert found.shares == tuple(float((high <= ms).mean()) for ms in (2.0, 4.0, 100.0))
    assert found.share == 1.0
    few, some = (f"{share:.1%}" for share in found.shares[:2])
    assert str(found) == (
        f"Of 20,000 sampled architectures, {few} are within 2 ms, {some} are within 4 ms, "
        "all are within 100 ms."
    )


def test_shares_on_two_targets_name_both(space, two_targets):
    measures, names = two_targets.measures, ["a100", "cpu"]
    options = {"targets": names, "names": names}
    found = check_feasible(space, Budgets(((5.0, 8.0),)), measures, rng(), **options)
    assert str(found).endswith("are within 5 ms on a100 and 8 ms on cpu.")
    assert [spread.name for spread in found.spreads] == names
    free = check_feasible(space, Budgets(((None, None),)), measures, rng(), **options)
    slowest = [format_ms(spread.slowest_ms) for spread in free.spreads]
    assert str(free) == (
        "There is no budget. 20,000 sampled architectures are predicted within "
        f"{slowest[0]} on a100 and {slowest[1]} on cpu."
    )


def test_the_share_that_fits_is_told(space):
    measures = space.measures(space.sample(20_000, rng()))
    found = check_feasible(space, Budgets(((4.0,),)), space.measures, rng())
    assert found.share == pytest.approx((measures.high_ms <= 4.0).mean(), abs=0.02)
    assert found.binds
    assert found.spreads[0].fastest_ms == pytest.approx(1.1 * 0.41)
    assert str(found).endswith("of 20,000 sampled architectures are within the budget.")


def test_a_budget_that_all_keep_does_not_bind(space):
    found = check_feasible(space, Budgets(((100.0,),)), space.measures, rng())
    assert not found.binds
    assert str(found) == (
        "The budget does not bind: every one of 20,000 sampled architectures is predicted within "
        f"it. A latency below {format_ms(found.spreads[0].slowest_ms)} would bind; "
        f"{format_ms(found.spreads[0].median_ms)} would leave half of them."
    )
    below = Budgets(((0.999 * found.spreads[0].slowest_ms,),))
    assert check_feasible(space, below, space.measures, rng()).binds
    half = check_feasible(space, Budgets(((found.spreads[0].median_ms,),)), space.measures, rng())
    assert half.share == pytest.approx(0.5, abs=0.02)


def test_a_budget_that_nearly_all_keep_hardly_binds(space):
    high = space.measures(space.sample(20_000, rng())).high_ms
    budgets = Budgets(((float(np.quantile(high, 0.99)),),))
    found = check_feasible(space, budgets, space.measures, rng())
    assert str(found).startswith("The budget hardly binds: all but ")
    assert 150 < 20_000 * (1 - found.share) < 250


def test_of_a_small_space_each_architecture_counts_once(space):
    space.cardinalities = np.array([2, 2, 2, 2, 1, 1, 1])
    found = check_feasible(space, Budgets(((100.0,),)), space.measures, rng())
    assert "every one of 16 sampled architectures is predicted" in str(found)
    with pytest.raises(InfeasibleError, match="the fastest of 16 is predicted"):
        check_feasible(space, Budgets(((0.2,),)), space.measures, rng())


def test_without_a_budget_the_sampled_latencies_are_told(space):
    found = check_feasible(space, Budgets(), space.measures, rng())
    assert str(found).startswith("There is no budget. 20,000 sampled architectures")


def test_a_budget_that_only_unsampled_architectures_keep_is_feasible(space):
    class LargeOnes(type(space)):
        def sample(self, n, rng):
            return np.maximum(super().sample(n, rng), 1)

    space = LargeOnes()
    found = check_feasible(space, Budgets(((0.5,),)), space.measures, rng())
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
        check_feasible(space, Budgets(((0.5,),)), space.measures, rng())
    check_feasible(space, Budgets(((0.5,),)), space.measures, rng(), smallest=smallest)
