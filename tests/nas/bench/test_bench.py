from __future__ import annotations

import numpy as np
import pytest

from nas.bench.bench import Task, bench, check, run
from nas.bench.table import Column, Table
from nas.errors import InfeasibleError, MissingExtraError, SettingsError, UnknownNameError
from nas.search import SEARCHERS

FIT = [entry for entry in SEARCHERS if entry.needs == "evaluations"]
OURS = [entry.name for entry in FIT if entry.package is None]


@pytest.fixture
def budget(table):
    return float(np.quantile(table.columns[1].values, 0.4))


@pytest.mark.parametrize("name", OURS)
def test_each_of_our_searchers_evaluates_every_row_once_and_ends(table, name):
    found = run(Task(table), name, evaluations=100, seed=0)
    assert sorted(found.rows) == list(range(60))


@pytest.mark.parametrize("name", OURS)
def test_each_of_our_searchers_stays_within_a_budget(table, budget, name):
    task = Task(table, budget)
    found = run(task, name, evaluations=100, seed=0)
    assert sorted(found.rows) == np.flatnonzero(task.feasible).tolist()


def test_a_run_depends_on_its_seed_alone(table):
    def rows(seed):
        np.random.seed(seed + 1)
        return run(Task(table), "evolution", evaluations=20, seed=seed).rows

    assert rows(0) == rows(0) != rows(1)


def test_the_first_objective_is_told_and_the_others_are_known_beforehand(table, budget):
    task = Task(table, budget)
    codes = table.codes[[3, 59]]
    np.testing.assert_array_equal(task.known_objectives(codes), table.objectives[[3, 59], 1:])
    assert task.constraints is not None
    within = (task.constraints(codes) <= 0).all(axis=1)
    np.testing.assert_array_equal(within, table.columns[1].values[[3, 59]] <= budget)


def test_a_result_sums_up_its_runs(table):
    result = bench(Task(table), "random", evaluations=10, seeds=range(5, 8))
    figures = result.to_dict()
    shares = [score.hypervolume_share for score in result.scores]
    assert [found.seed for found in result.runs] == [5, 6, 7]
    assert figures["hypervolume_share"] == pytest.approx(np.mean(shares))
    assert figures["hypervolume_share_std"] == pytest.approx(np.std(shares))
    assert (figures["seeds"], figures["evaluations"], figures["evaluated"]) == (3, 10, 30)
    assert figures["seconds_per_evaluation"] > 0


def test_repeats_of_a_foreign_searcher_are_evaluations_and_are_counted(table):
    result = bench(Task(table), "optuna-nsga2", evaluations=100, seeds=[0])
    assert len(result.runs[0].rows) == 100
    assert result.scores[0].duplicates == 100 - len(set(result.runs[0].rows)) >= 40


def test_a_budget_that_no_row_meets_is_named(table):
    with pytest.raises(
        InfeasibleError, match=r"has a lat of 0\.5 or less: the least is 1\. Raise"
    ):
        Task(table, 0.5)


def test_a_budget_needs_a_minimised_column_that_is_known(codes):
    dear = Column("error", False, np.arange(60.0))
    other = Column("speed", True, np.arange(60.0))
    with pytest.raises(SettingsError, match=r"there is none: the objectives are error, speed"):
        Task(Table(codes, (4, 3, 5), [dear, other]), 5.0)


def test_one_objective_is_enough(codes):
    table = Table(codes, (4, 3, 5), [Column("acc", True, np.linspace(10, 90, 60))])
    result = bench(Task(table), "evolution", evaluations=60, seeds=[0])
    assert result.to_dict()["hypervolume_share"] == pytest.approx(1.0)


@pytest.mark.parametrize("entry", list(SEARCHERS), ids=lambda entry: entry.name)
def test_a_searcher_has_to_be_fit_for_tables(entry):
    if entry not in FIT:
        with pytest.raises(SettingsError, match=f"'{entry.name}' learns from gradients of a"):
            check(entry.name)
    elif entry.installed:
        check(entry.name)
    else:
        with pytest.raises(MissingExtraError, match=f"'{entry.name}' needs '{entry.package}'"):
            check(entry.name)


def test_a_searcher_has_to_be_known():
    with pytest.raises(UnknownNameError, match=r"'optuna-tep'\. Did you mean 'optuna-tpe'\?"):
        check("optuna-tep")
