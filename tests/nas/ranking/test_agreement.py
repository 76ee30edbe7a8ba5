from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kendalltau, spearmanr
from sklearn.metrics import ndcg_score

from nas.ranking.agreement import Agreement, agreements, ndcg, regret, spearman, tau


@pytest.fixture
def drawn() -> tuple[np.ndarray, np.ndarray]:
    """Accuracies, and a score that ranks them roughly."""
    rng = np.random.default_rng(0)
    truth = rng.uniform(0.5, 0.9, 40)
    return truth, truth + rng.normal(0, 0.1, 40)


def test_figures_are_those_of_the_libraries(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    truth, score = drawn
    tied = score.round(1)
    assert tau(truth, score) == pytest.approx(kendalltau(truth, score).statistic)
    assert tau(truth, tied) == pytest.approx(kendalltau(truth, tied).statistic)
    assert spearman(truth, score) == pytest.approx(spearmanr(truth, score).statistic)
    gains = (truth - truth.min())[None]
    assert ndcg(truth, score) == pytest.approx(ndcg_score(gains, score[None]))


def test_the_regret_is_what_the_five_highest_scores_miss() -> None:
    truth = np.array([0.9, 0.8, 0.1, 0.2, 0.3, 0.4, 0.5])
    score = np.array([0.0, 5.0, 1.0, 2.0, 3.0, 4.0, 0.5])
    assert regret(truth, score) == pytest.approx(0.1)
    assert regret(truth, truth) == 0.0


def test_a_perfect_score_has_an_interval_without_width(
    drawn: tuple[np.ndarray, np.ndarray],
) -> None:
    truth, score = drawn
    found = agreements(truth, {"a": 2 * truth, "b": score}, np.random.default_rng(0))
    assert [each.score for each in found] == ["a", "b"]
    assert [found[0].tau.value, found[0].tau.low] == pytest.approx([1.0, 1.0])
    assert found[1].tau.low < found[1].tau.value < found[1].tau.high
    assert found[1].behind.value == pytest.approx(1.0 - found[1].tau.value)
    assert found[1].behind.low > 0.0
    assert found[0].behind.high == 0.0


def test_equal_accuracies_are_ranked_by_nothing() -> None:
    truth, score = np.ones(6), np.arange(6.0)
    (found,) = agreements(truth, {"a": score}, np.random.default_rng(0))
    assert (found.tau.value, found.spearman.value, found.regret.value) == (0.0, 0.0, 0.0)
    assert found.ndcg.value == 0.0  # not perfect, though no order is better


def test_a_constant_score_ranks_nothing(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    truth = np.sort(drawn[0])[::-1]  # the order in which ties would be taken is the best one
    constant = np.full(len(truth), 0.5)
    assert tau(truth, constant) == spearman(truth, constant) == ndcg(truth, constant) == 0.0


def test_an_agreement_is_read_as_it_was_written(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    (found,) = agreements(drawn[0], {"a": drawn[1]}, np.random.default_rng(0))
    assert Agreement.from_dict(found.to_dict()) == found
