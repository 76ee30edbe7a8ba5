from __future__ import annotations

import itertools

import numpy as np
import pytest

from nas.bench.bench import Task
from nas.bench.scores import Judge
from nas.bench.table import Column, Table
from nas.errors import DataError

ALL = list(range(60))


def staircase(points, reference):
    """The area that points dominate, by counting unit squares' corners in both directions."""
    xs = np.unique(np.append(points[:, 0], reference[0]))
    ys = np.unique(np.append(points[:, 1], reference[1]))
    area = 0.0
    for (x, right), (y, top) in itertools.product(itertools.pairwise(xs), itertools.pairwise(ys)):
        if ((points <= [x, y]).all(axis=1)).any():
            area += (right - x) * (top - y)
    return area


@pytest.fixture
def judge(table):
    return Judge(table, Task(table).feasible)


def test_the_true_hypervolume_is_the_area_that_all_rows_dominate(table, judge):
    assert judge.hypervolume == pytest.approx(staircase(table.objectives, table.reference))


def test_a_share_is_that_of_the_dominated_areas(table, judge):
    rows = [17, 3, 40, 59]
    share = staircase(table.objectives[rows], table.reference) / judge.hypervolume
    assert judge.score(rows, 4).hypervolume_share == pytest.approx(share)


def test_whoever_evaluates_everything_has_all_of_it(judge):
    score = judge.score(ALL, 60)
    assert score.hypervolume_share == pytest.approx(1.0)
    assert score.regret == 0
    assert (score.duplicates, score.infeasible) == (0, 0)


def test_the_area_is_the_mean_share_over_the_evaluations(judge):
    rows = [3, 40, 17, 17, 59]
    shares = [judge.score(rows[: i + 1], i + 1).hypervolume_share for i in range(5)]
    score = judge.score(rows, 5)
    assert score.area == pytest.approx(np.mean(shares))
    assert score.hypervolume_share == pytest.approx(max(shares))


def test_a_run_that_ends_early_keeps_what_it_found(judge):
    short, long = judge.score([17, 40], 2), judge.score([17, 40], 10)
    assert long.hypervolume_share == short.hypervolume_share
    assert long.area > short.area
    assert judge.score([], 10).hypervolume_share == 0


def test_only_the_allowed_evaluations_count(judge):
    assert judge.score([17, 40, 59], 2) == judge.score([17, 40], 2)


def test_regret_is_in_the_unit_of_the_column(table, judge):
    accuracy = table.columns[0].values
    regret = judge.score([17, 3], 2).regret
    assert regret == pytest.approx(accuracy.max() - max(accuracy[17], accuracy[3]))


def test_under_a_budget_only_rows_within_it_count(table):
    accuracy, latency = (column.values for column in table.columns)
    budget = float(np.quantile(latency, 0.25))
    judge = Judge(table, Task(table, budget).feasible)
    within = latency <= budget
    assert judge.hypervolume == pytest.approx(staircase(table.objectives[within], table.reference))
    slow = int(accuracy.argmax())
    score = judge.score([slow, slow], 2)
    assert (score.hypervolume_share, score.infeasible, score.duplicates) == (0, 2, 1)
    assert score.regret == pytest.approx(accuracy[within].max() - accuracy[within].min())
    best = int(np.where(within, accuracy, 0).argmax())
    assert judge.score([slow, best], 2).regret == 0


def test_negative_accuracies_tell_searchers_apart(codes, table):
    accuracy, latency = (column.values for column in table.columns)
    columns = [Column("acc", True, accuracy - 200), Column("lat", False, latency)]
    judge = Judge(Table(codes, table.cardinalities, columns), np.ones(60, dtype=bool))
    worst, middle = int(accuracy.argmin()), int(np.argsort(latency)[30])
    assert judge.score([worst], 1).hypervolume_share < 0.1
    assert 0.1 < judge.score([middle], 1).hypervolume_share < 1
    assert judge.score(ALL, 60).hypervolume_share == pytest.approx(1.0)


def test_what_cannot_be_scored_is_not_perfect(codes, table):
    accuracy = table.columns[0]
    columns = [accuracy, Column("lat", False, np.ones(60))]
    with pytest.raises(DataError, match="Nothing can be scored: .*acc, lat"):
        Judge(Table(codes, table.cardinalities, columns), np.ones(60, dtype=bool))
