from __future__ import annotations

import numpy as np

from nas.search import Brief, make_searcher
from nas.search.front import hypervolume


def test_a_generation_is_the_same_asked_at_once_or_one_by_one(space, objectives):
    asked = []
    for batch in (1, 20):
        searcher = make_searcher("nsga2", Brief(space, 3, evaluations=200))
        generations = []
        for _ in range(4):
            codes = np.concatenate([searcher.ask(batch) for _ in range(20 // batch)])
            searcher.tell(codes, objectives(codes))
            generations.append(codes)
        asked.append(np.concatenate(generations))
    np.testing.assert_array_equal(*asked)


def test_the_first_generation_is_random_and_later_ones_are_better(space, objectives):
    searcher = make_searcher("nsga2", Brief(space, 0, evaluations=200))
    volumes = []
    for _ in range(10):
        codes = searcher.ask(20)
        searcher.tell(codes, objectives(codes))
        volumes.append(hypervolume(objectives(codes), np.array([1.0, 15.0])))
    drawn = make_searcher("random", Brief(space, 0)).ask(20)
    assert volumes[0] < hypervolume(objectives(drawn), np.array([1.0, 15.0])) * 1.5
    assert np.mean(volumes[5:]) > np.mean(volumes[:2])


def test_results_may_come_late(space, objectives):
    searcher = make_searcher("nsga2", Brief(space, 0, evaluations=200))
    first, second = searcher.ask(20), searcher.ask(20)
    searcher.tell(first[:5], objectives(first[:5]))
    codes = np.concatenate([first, second, searcher.ask(30)])
    assert len(np.unique(codes, axis=0)) == 70
