from __future__ import annotations

import numpy as np
import pytest

from nas.search.asking.scales import Granularity
from nas.search.brief import Brief
from search_spaces import load_space


@pytest.fixture(params=["hybrid-tiny", "macro"])
def ordered(request):
    space = load_space(request.param)
    return space, Granularity(Brief(space, seed=0), np.random.default_rng(0))


def test_a_contraction_makes_one_factor_smaller_and_nothing_larger(ordered):
    space, granularity = ordered
    found = 0
    for code in space.sample(20, np.random.default_rng(1)):
        before = [gene.levels[choice] for gene, choice in zip(space.genes, code, strict=True)]
        for smaller in granularity.contractions(code):
            after = [
                gene.levels[choice] for gene, choice in zip(space.genes, smaller, strict=True)
            ]
            less = [i for i in range(len(code)) if after[i] < before[i]]
            assert all(a <= b for a, b in zip(after, before, strict=True))
            assert less or smaller.sum() < code.sum()
            found += 1
    assert found > 20


def test_contracting_ends_at_the_smallest(ordered):
    space, granularity = ordered
    code = granularity.largest()
    assert granularity.size(code[None])[0] == 1
    for _ in range(100):
        smaller = granularity.contractions(code)
        if not len(smaller):
            break
        code = smaller[0]
    depths = [i for i, gene in enumerate(space.genes) if gene.role in ("depth", "width")]
    assert not code[depths].any()


def test_changes_are_the_codes_with_another_choice_in_one_gene(space):
    granularity = Granularity(Brief(space, seed=0), np.random.default_rng(0))
    code = space.sample(1, np.random.default_rng(1))[0]
    changes = granularity.changes(code)
    assert len(np.unique(changes, axis=0)) == (space.cardinalities - 1).sum() == len(changes)
    assert ((changes != code).sum(axis=1) == 1).all()


def test_changes_in_a_search_space_are_architectures(ordered):
    space, granularity = ordered
    for code in space.sample(5, np.random.default_rng(1)):
        changes = granularity.changes(code)
        assert space.contains(changes).all()
        assert len(np.unique(changes, axis=0)) == len(changes) > 10


def test_without_an_order_choices_are_ordered_by_what_they_cost(space):
    costs = [
        np.random.default_rng(i).permutation(int(k)) for i, k in enumerate(space.cardinalities)
    ]

    def cost_of(codes):
        return sum(cost[codes[:, i]] for i, cost in enumerate(costs)).astype(float)[:, None]

    granularity = Granularity(
        Brief(space, seed=0, known_objectives=cost_of), np.random.default_rng(0)
    )
    for scale, cost in zip(granularity.scales, costs, strict=True):
        np.testing.assert_array_equal(scale.levels, cost)
    assert cost_of(granularity.largest()[None]) == sum(cost.max() for cost in costs)


def test_without_costs_choices_are_ordered_as_numbered(space):
    granularity = Granularity(Brief(space, seed=0), np.random.default_rng(0))
    for scale, count in zip(granularity.scales, space.cardinalities, strict=True):
        np.testing.assert_array_equal(scale.levels, np.arange(count))
    np.testing.assert_array_equal(granularity.largest(), space.cardinalities - 1)


def test_a_space_that_names_no_cardinalities_is_sampled(space):
    counts = space.cardinalities

    class Bare:
        num_genes = space.num_genes

        def sample(self, n, rng):
            return space.sample(n, rng)

    granularity = Granularity(Brief(Bare(), seed=0), np.random.default_rng(0))
    assert [len(scale.levels) for scale in granularity.scales] == list(counts)
