"""A guide's plan first, then a model that sees the guide's table."""

from __future__ import annotations

import numpy as np
import pytest

from nas.errors import SettingsError
from nas.search.asking.history import History, SequentialSearcher
from nas.search.brief import Brief
from nas.search.gradients.gene_tables import total
from nas.search.gradients.guided import Guided, gradients_of
from search_spaces import load_space

SPACE = load_space("hybrid-tiny")
TABLE = [
    np.random.default_rng(i).normal(scale=0.2, size=gene.cardinality)
    for i, gene in enumerate(SPACE.genes)
]


class Oracle:
    """Knows a table, and samples blindly."""

    def __init__(self, table, plan=0):
        self.space, self.table = SPACE, table
        self._plan = SPACE.sample(plan, np.random.default_rng(3))
        self._rng = np.random.default_rng(4)
        self.learnt = 0

    def learn(self):
        self.learnt += 1
        return self._plan

    def draw(self, n):
        return SPACE.sample(n, self._rng)


def errors(codes):
    return np.exp(total(SPACE, TABLE, codes) - 3.0)[:, None]


def least_error(table, evaluations, seed):
    history = History(Brief(SPACE, seed))
    guided = Guided(Brief(SPACE, seed), history, Oracle(table))
    searcher = SequentialSearcher(history, guided.next)
    best = np.inf
    for _ in range(evaluations):
        codes = searcher.ask(1)
        searcher.tell(codes, errors(codes))
        best = min(best, float(errors(codes)[0, 0]))
    return best


def test_a_right_table_helps_and_a_wrong_one_does_little_harm():
    wrong = [np.random.default_rng(9).permutation(row) for row in TABLE]
    seeds = range(4)  # one search alone is a matter of luck
    right = np.mean([np.log(least_error(TABLE, 25, seed)) for seed in seeds])
    misled = np.mean([np.log(least_error(wrong, 25, seed)) for seed in seeds])
    samples = (SPACE.sample(25, np.random.default_rng(seed)) for seed in seeds)
    drawn = np.mean([np.log(errors(codes).min()) for codes in samples])
    assert right < misled < drawn


def test_the_plan_comes_first_but_for_what_was_told_already():
    brief = Brief(SPACE, 0)
    history, oracle = History(brief), Oracle(TABLE, plan=8)
    searcher = SequentialSearcher(history, Guided(brief, history, oracle).next)
    plan = oracle.learn()
    searcher.tell(plan[2:4], errors(plan[2:4]))
    np.testing.assert_array_equal(searcher.ask(6), np.delete(plan, [2, 3], axis=0))
    assert len(searcher.ask(10)) == 10
    assert oracle.learnt == 2  # once here, once by the search


def test_a_searcher_without_gradients_says_what_to_do():
    with pytest.raises(SettingsError, match=r"'saliency' needs a supernet.*`nas search`"):
        gradients_of(Brief(SPACE, 0), "saliency")
