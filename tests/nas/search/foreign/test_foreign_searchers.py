"""What every foreign searcher does behind ask and tell."""

from __future__ import annotations

import random

import numpy as np
import pytest

from nas.search import SEARCHERS, make_searcher

SLOW = "optuna-gp"
"""Takes seconds for each ask once it has seen ten results."""


def parametrized(entries):
    return pytest.mark.parametrize(
        "name",
        [
            pytest.param(
                entry.name, marks=pytest.mark.skipif(not entry.installed, reason="not installed")
            )
            for entry in entries
        ],
    )


FOREIGN = [entry for entry in SEARCHERS if entry.package is not None]
foreign = parametrized(FOREIGN)
quick = parametrized(entry for entry in FOREIGN if entry.name != SLOW)


@quick
def test_it_asks_codes_of_the_space(space, name):
    codes = space.search(make_searcher(name, space.brief()), 60)
    assert codes.shape == (60, 4)
    assert space.contains(codes).all()


@foreign
def test_the_same_seed_asks_the_same_whatever_the_global_state(space, name):
    def asked(seed, disturbance):
        np.random.seed(disturbance)
        random.seed(disturbance)
        return space.search(make_searcher(name, space.brief(seed)), 11 if name == SLOW else 60)

    first = asked(3, 1)
    np.testing.assert_array_equal(first, asked(3, 2))
    assert not np.array_equal(first, asked(4, 1))


@quick
def test_what_breaks_a_constraint_is_not_asked(space, name):
    codes = space.search(make_searcher(name, space.brief(limit=4.0)), 60)
    assert len(codes) == 60
    assert (space.latency(codes) <= 4.0).all()


@quick
def test_a_search_may_forbid_repeats(space, name):
    codes = space.search(make_searcher(name, space.brief(may_repeat=False)), 40, lag=4)
    assert len(np.unique(codes, axis=0)) == 40


@quick
def test_results_may_come_late(space, name):
    codes = space.search(make_searcher(name, space.brief()), 60, lag=8)
    assert codes.shape == (60, 4)


@quick
def test_a_failed_evaluation_is_survived(space, name):
    searcher = make_searcher(name, space.brief())
    for i in range(40):
        codes = searcher.ask(1)
        searcher.tell(codes, space.objectives(codes) if i % 3 else np.full((1, 2), np.nan))
    assert space.contains(searcher.ask(1)).all()
