from __future__ import annotations

from collections import deque

import numpy as np

from nas.search import make_searcher
from nas.search.asking.history import History
from nas.search.brief import Brief
from nas.search.searchers.regularized import Regularized


def test_under_one_objective_it_is_the_algorithm_of_the_paper(space):
    """Algorithm 1 of Real et al. 2018, written as there, drawing from the same generator."""

    def errors(codes):  # no two alike
        return (-codes @ np.sqrt([2, 3, 5, 7, 11, 13, 17]))[:, None]

    searcher = make_searcher("regularized", Brief(space, 5, evaluations=150))
    asked = []
    for _ in range(150):
        code = searcher.ask(1)
        searcher.tell(code, errors(code))
        asked.append(code[0])

    cycles, members, sample = 150, 30, 7
    history = History(Brief(space, seed=5))
    rng = history.rng
    population, expected = deque(), []
    while len(expected) < cycles:
        if len(expected) < members:
            child = history.candidates.take(1)[0]
        else:
            drawn = rng.integers(len(population), size=(1, sample))[0]
            parent = min((population[i] for i in drawn), key=lambda model: model[1])[0]
            tries = [1, 8, 64]
            fresh = []
            while not len(fresh) and tries:  # never twice: the paper does not ask for it
                mutants = space.mutate(np.repeat(parent[None], tries.pop(0), axis=0), rng)
                fresh = history.candidates.fresh(mutants)
            child = fresh[0] if len(fresh) else history.candidates.take(1)[0]
        history.candidates.mark(child[None])
        population.append((child, float(errors(child[None])[0, 0])))
        expected.append(child)
        if len(population) > members:
            population.popleft()
    np.testing.assert_array_equal(asked, expected)


def test_the_oldest_are_no_parents_however_good(space, objectives):
    """A population of mediocre codes, told after the best: only they have children."""
    history = History(Brief(space, seed=0, evaluations=100))
    rule = Regularized(Brief(space, seed=0, evaluations=100), history)
    best = (space.cardinalities - 1).astype(np.int16)
    others = np.unique(space.sample(400, np.random.default_rng(0)), axis=0)
    others = others[(others[:, [2, 6]] <= 1).all(axis=1)][:20]
    for code in (best, *others):
        history.ask(code)
        history.tell(code[None], objectives(code[None]))
    for _ in range(30):
        child = rule.next()[0]
        history.ask(child)
        assert (others != child).sum(axis=1).min() == 1
