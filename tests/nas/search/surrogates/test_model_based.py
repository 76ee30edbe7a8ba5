"""What searchers with a model of the error do beyond the contract."""

from __future__ import annotations

import numpy as np
import pytest

from nas.search import make_searcher
from nas.search.asking.history import History, SequentialSearcher
from nas.search.brief import Brief
from nas.search.front import hypervolume
from nas.search.surrogates import model_based
from nas.search.surrogates.model_based import Effort, ModelBased

LAG = 16


def search(problem, name, seed, evaluations, **options):
    """Codes and objectives as a run asks and tells: one at a time, 16 ahead of the results."""
    searcher = make_searcher(name, problem.space, seed=seed, known_objectives=problem.known_objectives, **options)
    codes, told = [], []
    for i in range(evaluations):
        if i >= LAG:
            code = codes[i - LAG]
            latency = problem.known_objectives(code[None])[0]
            told.append(problem.objectives(problem.evaluate(code), latency))
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


def test_each_of_several_questions_gets_asks_that_can_answer_it(problem):
    sampled = problem.known_objectives(problem.space.sample(2000, np.random.default_rng(0)))[:, 0]
    limits = np.quantile(sampled, [0.05, 0.5, 0.95])

    def answers(codes):
        return problem.known_objectives(codes)[:, :1] / limits - 1

    codes, _ = search(
        problem,
        "bayes",
        0,
        60,
        answers=answers,
        constraints=lambda codes: answers(codes).min(axis=1, keepdims=True),
    )
    kept = answers(codes) <= 0
    assert kept[:, 2].all()
    assert kept[30:, 0].sum() >= 4
    assert (kept[30:, 1] & ~kept[30:, 0]).sum() >= 4
    assert (kept[30:, 2] & ~kept[30:, 1]).sum() >= 4


@pytest.mark.parametrize(("questions", "front"), [(0, 0.75), (1, 0.1), (3, 0.1)])
def test_asks_take_turns_between_the_front_and_the_questions(
    problem, monkeypatch, questions, front
):
    asked = []
    pop = model_based._Judged.pop

    def spy(judged, question):
        asked.append(question)
        return pop(judged, question)

    monkeypatch.setattr(model_based._Judged, "pop", spy)
    limits = np.array([3.0, 4.0, 5.0])[:questions]

    def answers(codes):
        return problem.known_objectives(codes)[:, :1] / limits - 1

    options = {}
    if questions:
        options["constraints"] = lambda codes: answers(codes).min(axis=1, keepdims=True)
    if questions > 1:
        options["answers"] = answers
    search(problem, "bayes", 0, 80, **options)
    assert len(asked) > 50
    assert asked.count(None) / len(asked) == pytest.approx(front, abs=0.05)
    for question in range(questions):
        share = asked.count(question) / len(asked)
        assert share == pytest.approx((1 - front) / questions, abs=0.05)


def test_who_can_evaluate_thousands_of_times_gets_no_surrogate(problem):
    many = make_searcher("auto", problem.space, seed=0, evaluations=5000, known_objectives=problem.known_objectives)
    peer = make_searcher("nsga2", problem.space, seed=0, evaluations=5000, known_objectives=problem.known_objectives)
    np.testing.assert_array_equal(many.ask(50), peer.ask(50))


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

    def within(codes):
        return problem.known_objectives(codes) - 3.0

    brief = Brief(problem.space, 0, known_objectives=problem.known_objectives, constraints=within if budget else None)
    history = History(brief)
    model = ModelBased(brief, history, Spy, Effort(start=8, children=8, strangers=8, renew=1))
    searcher = SequentialSearcher(history, model.next)
    codes = searcher.ask(8)
    searcher.tell(codes, np.concatenate([np.ones((8, 1)), problem.known_objectives(codes)], axis=1))
    searcher.ask(1)
    own = problem.space.features(codes)
    assert seen["groups"] == own.shape[1] + budget
    np.testing.assert_allclose(seen["features"][:, : own.shape[1]], own)
    if budget:
        np.testing.assert_allclose(seen["features"][:, own.shape[1] :], problem.known_objectives(codes))
