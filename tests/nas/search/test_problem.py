from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from nas.search.problem import error
from supernet.scores import Evaluation


def rng():
    return np.random.default_rng(0)


def test_a_problem_tells_one_latency_per_target(two_targets):
    told = two_targets.objectives(Evaluation(0.9, 0.7, 0.5), [2.0, 4.0])
    assert told.tolist()[1:] == [2.0, 4.0]


def test_equal_accuracies_are_ordered_by_loss():
    assert error(0.9, 0.2) < error(0.9, 0.3) < error(0.9, 50.0) < error(0.9, float("nan"))


@pytest.mark.parametrize("images", [270, 10_000, 1_000_000])
def test_a_loss_reorders_no_two_different_accuracies(images):
    for correct in (1, images // 2, images - 1):
        better, worse = (correct + 1) / images, correct / images
        assert error(better, float("inf")) < error(worse, 0.0)


def test_a_failed_evaluation_is_told_as_nan(problem):
    nothing = Evaluation(float("nan"), float("nan"), float("nan"))
    assert np.isnan(problem.objectives(nothing, [1.0])[0])


def test_the_metric_decides_which_score_is_told(problem):
    evaluation = Evaluation(0.9, 0.7, 0.5)
    balanced = dataclasses.replace(problem, metric="balanced_accuracy")
    np.testing.assert_allclose(problem.objectives(evaluation, [2.0]), [0.1, 2.0], rtol=1e-8)
    np.testing.assert_allclose(balanced.objectives(evaluation, [2.0]), [0.3, 2.0], rtol=1e-8)


def test_a_brief_holds_what_is_known_of_the_problem(problem, two_targets):
    codes = problem.space.sample(5, rng())
    brief = two_targets.brief(3, evaluations=40)
    assert (brief.space, brief.seed, brief.evaluations) == (problem.space, 3, 40)
    assert brief.constraints(codes).shape == brief.known_objectives(codes).shape == (5, 2)
    assert brief.excess_by_set(codes).shape == (5, 2)
    assert problem.brief(0).excess_by_set is None
    assert not brief.may_repeat
