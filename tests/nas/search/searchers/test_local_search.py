from __future__ import annotations

import numpy as np

from nas.search import Brief, make_searcher

START = 10


def run(space, evaluate, n, **options):
    searcher = make_searcher("local-search", Brief(space, 0, **options))
    asked = []
    for _ in range(n):
        code = searcher.ask(1)
        if not len(code):
            break
        searcher.tell(code, evaluate(code))
        asked.append(code[0])
    return np.stack(asked)


def test_after_the_start_neighbours_of_the_front_are_asked(space, objectives):
    asked = run(space, objectives, 60)
    values = objectives(asked)
    for i in range(START, 60):
        front = [j for j in range(i) if not (values[:i] < values[j]).all(axis=1).any()]
        assert (asked[front] != asked[i]).sum(axis=1).min() == 1


def test_with_one_objective_it_climbs_to_the_top_and_then_restarts(space, objectives):
    asked = run(space, lambda codes: objectives(codes)[:, :1], 120)
    errors = objectives(asked)[:, 0]
    top = int(errors.argmin())
    np.testing.assert_array_equal(asked[top], space.cardinalities - 1)
    neighbours = int((space.cardinalities - 1).sum())
    around = (asked != asked[top]).sum(axis=1) == 1
    assert around.sum() == neighbours
    after = int(np.flatnonzero(around).max()) + 1
    assert (asked[after : after + START] != asked[top]).sum(axis=1).mean() > 2
