from __future__ import annotations

import numpy as np
import pytest

from nas.search.asking.history import History
from nas.search.brief import Brief
from nas.search.searchers.down_scaling import DownScaling
from search_spaces import load_space


def start(brief, evaluate):
    """A search whose roots are told, and these."""
    history = History(brief)
    searcher = DownScaling(brief, history)
    roots = searcher.generation()
    for code in roots:
        history.ask(code)
    history.tell(roots, evaluate(roots))
    return searcher, history, roots


def test_every_code_is_one_step_smaller_than_one_that_was_told(space, brief, objectives):
    searcher, history, _ = start(brief, objectives)
    for _ in range(3):
        codes = searcher.generation()
        for code in codes:
            steps = history.codes - code
            parents = (steps >= 0).all(axis=1) & (steps.sum(axis=1) == 1)
            assert parents.any()
        history.tell(codes, objectives(codes))


def test_in_a_search_space_it_never_grows():
    space = load_space("hybrid-tiny")

    def evaluate(codes):
        return np.stack([-codes.sum(axis=1), codes.sum(axis=1)], axis=1).astype(float)

    searcher, history, _ = start(Brief(space, seed=0), evaluate)
    levels = [np.array(gene.levels) for gene in space.genes]
    for _ in range(3):
        codes = searcher.generation()
        sizes = np.stack([levels[i][codes[:, i]] for i in range(space.num_genes)], axis=1)
        before = np.stack([levels[i][history.codes[:, i]] for i in range(space.num_genes)], axis=1)
        for size in sizes:
            assert (size <= before).all(axis=1).any()
        history.tell(codes, evaluate(codes))


@pytest.mark.parametrize("limit", [3.0, 5.0])
def test_under_a_budget_every_second_root_is_just_within(space, latency_of, objectives, limit):
    brief = Brief(
        space,
        seed=0,
        known_objectives=latency_of,
        constraints=lambda codes: latency_of(codes) - limit,
    )
    _, _, roots = start(brief, objectives)
    latency = latency_of(roots)[:, 0]
    assert latency.max() <= limit
    slowest_step = 0.1 * space.num_genes
    assert (latency > limit - slowest_step).sum() >= len(roots) // 2


def test_without_a_budget_the_roots_are_of_all_sizes(space, brief, latency_of, objectives):
    _, _, roots = start(brief, objectives)
    sizes = np.sort(roots.sum(axis=1)) / (space.cardinalities - 1).sum()
    assert sizes[0] < 0.2
    assert sizes[-1] > 0.8
