"""What searchers with a model of the error do beyond the contract."""

from __future__ import annotations

import numpy as np
import pytest

from nas.search import make_searcher
from nas.search.asking.history import History, SequentialSearcher
from nas.search.brief import Brief
from nas.search.front import hypervolume
from nas.search.surrogates.model_based import Effort, ModelBased, turn

LAG = 16


def search(problem, name, seed, evaluations, **options):
    """Codes and objectives as a run asks and tells: one at a time, 16 ahead of the results."""
    latency = problem.known_objectives
    brief = Brief(problem.space, seed, known_objectives=latency, **options)
    searcher = make_searcher(name, brief)
    codes, told = [], []
    for i in range(evaluations):
        if i >= LAG:
            code = codes[i - LAG]
            told.append(problem.objectives(problem.evaluate(code), latency(code[None])[0]))
            searcher.tell(code[None], told[-1][None])
        codes.append(searcher.ask(1)[0])
    return np.stack(codes), np.stack(told)


@pytest.mark.parametrize("name", ["evolution", "auto"])
def test_more_of_the_front_is_found_than_by_random(problem, name):
    reference = np.array([1.0, 6.0])
    wins = 0
    for seed in range(6):
        volumes = {
            n: hypervolume(search(problem, n, seed, 60)[1], reference) for n in (name, "random")
        }
        wins += volumes[name] > volumes["random"]
    assert wins >= 5


@pytest.mark.parametrize("name", ["auto", "bayes"])
def test_one_of_the_first_asks_is_cheaper_than_all_of_many_samples(problem, name):
    sampled = problem.known_objectives(problem.space.sample(5000, np.random.default_rng(0)))[:, 0]
    codes, _ = search(problem, name, 0, LAG + 1)
    assert problem.known_objectives(codes[:8])[:, 0].min() <= sampled.min()


def test_each_of_several_budget_sets_gets_asks_within_it(problem):
    sampled = problem.known_objectives(problem.space.sample(2000, np.random.default_rng(0)))[:, 0]
    limits = np.quantile(sampled, [0.05, 0.5, 0.95])

    def excess(codes):
        return problem.known_objectives(codes)[:, :1] / limits - 1

    codes, _ = search(
        problem,
        "bayes",
        0,
        60,
        excess_by_set=excess,
        constraints=lambda codes: excess(codes).min(axis=1, keepdims=True),
    )
    kept = excess(codes) <= 0
    assert kept[:, 2].all()
    assert kept[30:, 0].sum() >= 4
    assert (kept[30:, 1] & ~kept[30:, 0]).sum() >= 4
    assert (kept[30:, 2] & ~kept[30:, 1]).sum() >= 4


@pytest.mark.parametrize(
    ("limited", "sets", "front"), [(False, 1, 0.75), (True, 1, 0.1), (True, 3, 0.1)]
)
def test_asks_take_turns_between_the_front_and_the_budget_sets(limited, sets, front):
    turns = [turn(asked, sets, limited) for asked in range(540)]
    assert turns.count(None) == front * 540
    for each in range(sets):
        assert turns.count(each) == (1 - front) * 540 / sets


def test_who_can_evaluate_thousands_of_times_gets_no_surrogate(problem):
    brief = Brief(problem.space, 0, known_objectives=problem.known_objectives, evaluations=5000)
    many, plain = make_searcher("auto", brief), make_searcher("nsga2", brief)
    np.testing.assert_array_equal(many.ask(50), plain.ask(50))


@pytest.mark.parametrize("budget", [False, True])
def test_a_surrogate_sees_the_costs_under_a_budget_only(problem, budget):
    seen = {}

    class Spy:
        def __init__(self, groups):
            seen["groups"] = len(set(groups))

        def fit(self, features, targets):
            seen["features"] = features

        def believe(self, features):
            pass

        def predict(self, features):
            return np.zeros(len(features)), np.ones(len(features))

    latency = problem.known_objectives
    constraints = (lambda codes: latency(codes) - 3.0) if budget else None
    brief = Brief(problem.space, 0, constraints=constraints, known_objectives=latency)
    history = History(brief)
    model = ModelBased(brief, history, Spy, Effort(start=8, children=8, strangers=8, renew=1))
    searcher = SequentialSearcher(history, model.next)
    codes = searcher.ask(8)
    searcher.tell(codes, np.concatenate([np.ones((8, 1)), latency(codes)], axis=1))
    searcher.ask(1)
    own = problem.space.features(codes)
    assert seen["groups"] == own.shape[1] + budget
    np.testing.assert_allclose(seen["features"][:, : own.shape[1]], own)
    if budget:
        np.testing.assert_allclose(seen["features"][:, own.shape[1] :], latency(codes))
