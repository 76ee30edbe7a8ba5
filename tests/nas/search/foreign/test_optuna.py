from __future__ import annotations

import contextlib

import numpy as np
import optuna
import pytest
import torch
from optuna.samplers import GPSampler, NSGAIISampler, TPESampler

from nas.errors import UnknownNameError
from nas.search import make_searcher
from nas.search.foreign.optuna import POPULATION, OptunaTool

SAMPLERS = {
    "tpe": lambda: TPESampler(seed=7),
    "nsga2": lambda: NSGAIISampler(seed=7, population_size=POPULATION),
    "gp": lambda: GPSampler(seed=7),
}


@contextlib.contextmanager
def quiet():
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    yield
    optuna.logging.set_verbosity(level)


@pytest.mark.parametrize(
    ("name", "limit"),
    [("tpe", None), ("tpe", 6.0), ("nsga2", None), ("nsga2", 6.0), ("gp", 6.0)],
)
def test_a_sampler_asks_what_a_study_of_its_own_asks(space, name, limit):
    n = 11 if name == "gp" else 40
    worst: list[np.ndarray] = []

    def objective(trial):
        genes = [
            trial.suggest_categorical(f"gene{i}", tuple(range(count)))
            for i, count in enumerate(space.cardinalities)
        ]
        code = np.array([genes])
        if limit is not None:
            trial.set_constraint("limit0", float(space.latency(code)[0, 0] / limit - 1))
        error, latency = space.objectives(code)[0]
        if limit is None or latency <= limit:
            worst.append(error)
            feasible.append(genes)
        elif not worst:
            raise optuna.TrialPruned
        else:
            error = max(worst)
        return error, latency

    feasible: list[list[int]] = []
    with quiet():
        study = optuna.create_study(directions=["minimize", "minimize"], sampler=SAMPLERS[name]())
        study.optimize(objective, n_trials=n)
    asked = space.search(make_searcher(f"optuna-{name}", space.brief(7, limit)), len(feasible))
    np.testing.assert_array_equal(asked, feasible)


def test_optuna_is_left_as_it_was(space):
    before = optuna.logging.get_verbosity(), torch.get_num_threads()
    space.search(make_searcher("optuna-gp", space.brief()), 11)
    assert (optuna.logging.get_verbosity(), torch.get_num_threads()) == before


def test_the_number_of_objectives_may_be_found_out_later(space):
    tool = OptunaTool(space.cardinalities, "tpe", seed=0)
    open_ones = [tool.propose() for _ in range(3)]
    for proposal in open_ones:
        tool.report(proposal, proposal.genes, np.array([0.1, 2.0, 3.0]), np.empty(0))
    proposal = tool.propose()
    tool.report(proposal, proposal.genes, np.array([0.2, 1.0, 3.0]), np.empty(0))
    assert space.contains(tool.propose().genes[None])[0]


def test_a_code_other_than_the_proposed_one_is_what_the_sampler_learns(space):
    told = np.array([2, 1, 3, 0])
    tool = OptunaTool(space.cardinalities, "nsga2", seed=0, objectives=1)
    for i in range(12):
        tool.report(tool.propose(), told, np.array([0.1 * i]), np.array([-1.0]))
    study = tool._study
    assert study is not None
    complete = [trial for trial in study.trials if trial.state.name == "COMPLETE"]
    assert len(complete) == 12
    assert {tuple(trial.params.values()) for trial in complete} == {tuple(told.tolist())}
    generations = [trial.system_attrs["NSGAIISampler:generation"] for trial in complete]
    assert generations == [0] * POPULATION + [1] * (12 - POPULATION)
    assert all(trial.constraints == {"limit0": -1.0} for trial in complete)


def test_an_unknown_sampler_is_named(space):
    with pytest.raises(UnknownNameError, match="Unknown Optuna sampler 'tpr'"):
        OptunaTool(space.cardinalities, "tpr", seed=0)
