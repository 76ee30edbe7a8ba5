"""What every foreign searcher does behind ask and tell."""

from __future__ import annotations

import random

import numpy as np
import pytest

from nas.errors import MissingExtraError, SpaceError, UnknownNameError
from nas.search.foreign.entries import PEERS, check_installed, make_peer
from nas.search.foreign.tool import ForeignSearcher, cardinalities_of


def _peers(names):
    missing = {name for name in names if not PEERS[name].installed}
    return [
        pytest.param(name, marks=pytest.mark.skipif(name in missing, reason="not installed"))
        for name in sorted(names)
    ]


peers = pytest.mark.parametrize("name", _peers(PEERS))
quick = pytest.mark.parametrize("name", _peers(set(PEERS) - {"optuna-gp"}))


def few(name):
    """How many evaluations a test makes of it; the Gaussian process begins after 10."""
    return 11 if name == "optuna-gp" else 60


def test_there_are_seven_peers():
    assert sorted(PEERS) == [
        "nni-evolution",
        "nni-random",
        "nni-tpe",
        "optuna-gp",
        "optuna-nsga2",
        "optuna-tpe",
        "pymoo-nsga2",
    ]


@quick
def test_a_peer_asks_codes_of_the_space(space, name):
    codes = space.search(make_peer(name, space.brief()), few(name))
    assert codes.shape == (few(name), 4)
    assert space.contains(codes).all()


@peers
def test_the_same_seed_asks_the_same_whatever_the_global_state(space, name):
    def asked(seed, disturbance):
        np.random.seed(disturbance)
        random.seed(disturbance)
        return space.search(make_peer(name, space.brief(seed)), few(name))

    first = asked(3, 1)
    np.testing.assert_array_equal(first, asked(3, 2))
    assert not np.array_equal(first, asked(4, 1))


@quick
def test_what_is_outside_the_constraints_is_asked_again(space, name):
    codes = space.search(make_peer(name, space.brief(limit=4.0)), few(name))
    assert len(codes) == few(name)
    assert (space.latency(codes) <= 4.0).all()


@quick
def test_results_may_come_late(space, name):
    codes = space.search(make_peer(name, space.brief()), 60, lag=8)
    assert codes.shape == (60, 4)


@quick
def test_a_failed_evaluation_is_survived(space, name):
    searcher = make_peer(name, space.brief())
    for i in range(40):
        codes = searcher.ask(1)
        searcher.tell(codes, space.objectives(codes) if i % 3 else np.full((1, 2), np.nan))
    assert space.contains(searcher.ask(1)).all()


@pytest.mark.parametrize("name", _peers(set(PEERS) - {"optuna-gp", "optuna-tpe"}))
def test_without_repeats_a_peer_evaluates_every_feasible_code_once(space, name):
    brief = space.brief(limit=4.0)
    searcher = ForeignSearcher(PEERS[name].tool(brief), brief, repeats=False, tries=20)
    codes = space.search(searcher, 200, lag=4)
    everything = np.stack(np.unravel_index(np.arange(120), space.cardinalities), axis=1)
    feasible = everything[space.latency(everything)[:, 0] <= 4.0]
    assert sorted(map(tuple, codes)) == sorted(map(tuple, feasible))


def test_a_limit_that_nothing_meets_ends(space):
    brief = space.brief(limit=0.1)
    for repeats in (True, False):
        tool = PEERS["optuna-nsga2"].tool(brief)
        searcher = ForeignSearcher(tool, brief, repeats=repeats, tries=50)
        assert searcher.ask(3).shape == (0, 4)


def test_an_unknown_or_missing_peer_is_named(space, monkeypatch):
    with pytest.raises(UnknownNameError, match="'optuna-ga'. Did you mean 'optuna-gp'"):
        make_peer("optuna-ga", space.brief())
    peer = PEERS["pymoo-nsga2"]
    monkeypatch.setattr("nas.search.foreign.entries.find_spec", lambda package: None)
    with pytest.raises(MissingExtraError, match=r"'pymoo-nsga2' needs 'pymoo'.*\.\[peers\]"):
        check_installed(peer)
    with pytest.raises(MissingExtraError, match=r"'nni-tpe' needs 'nni'.*\.\[nni\]"):
        make_peer("nni-tpe", space.brief())
    check_installed(PEERS["optuna-tpe"])


def test_a_space_without_cardinalities_is_named():
    with pytest.raises(SpaceError, match="cardinalities"):
        cardinalities_of(object())
