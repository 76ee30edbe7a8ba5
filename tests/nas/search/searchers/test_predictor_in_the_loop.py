from __future__ import annotations

import numpy as np
import pytest

from nas.search import Brief, make_searcher
from nas.search.asking.history import History
from nas.search.front import hypervolume, ranks
from nas.search.searchers.predictor_in_the_loop import PredictorInTheLoop


def run(name, space, objectives, seed, **options):
    searcher = make_searcher(name, Brief(space, seed, evaluations=60, **options))
    asked = []
    for _ in range(60):
        code = searcher.ask(1)
        searcher.tell(code, objectives(code))
        asked.append(code[0])
    return objectives(np.stack(asked))


@pytest.mark.parametrize("known", [True, False])
def test_it_finds_more_of_the_front_than_random(space, objectives, latency_of, known):
    options = {"known_objectives": latency_of} if known else {}
    reference = np.array([1.0, 15.0])
    for seed in range(3):
        found = run("predictor", space, objectives, seed, **options)
        drawn = run("random", space, objectives, seed)
        assert hypervolume(found, reference) > hypervolume(drawn, reference)


def test_a_batch_is_new_and_mostly_on_the_front_of_its_predictions(brief, objectives):
    history = History(brief)
    codes = history.candidates.take(60)
    for code in codes:
        history.ask(code)
    history.tell(codes, objectives(codes))
    batch = PredictorInTheLoop(brief, history).generation()
    assert len(batch) == 12
    together = np.concatenate([codes, batch])
    assert len(np.unique(together, axis=0)) == 72
    assert (ranks(objectives(together))[60:] == 0).mean() > 0.5


def test_under_a_budget_one_of_the_best_hundredth_is_found(space, objectives, latency_of):
    limit = 4.0
    every = np.stack(np.unravel_index(np.arange(space.size()), space.cardinalities), axis=1)
    every = every[latency_of(every)[:, 0] <= limit]
    found = run(
        "predictor",
        space,
        objectives,
        0,
        known_objectives=latency_of,
        constraints=lambda c: latency_of(c) - limit,
    )
    errors = np.sort(objectives(every)[:, 0])
    assert found[:, 0].min() <= errors[len(errors) // 100]
