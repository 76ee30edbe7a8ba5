"""A foreign tool behind ask and tell, on a tool that proposes what it is given."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from nas.errors import SpaceError
from nas.search.foreign.tool import ForeignSearcher, Proposal, cardinalities_of


class Given:
    """Proposes codes one after the other, over and over, and remembers what it is told."""

    def __init__(self, *codes):
        self._codes = itertools.cycle(np.array(codes, dtype=np.int16))
        self._numbers = itertools.count()
        self.told = []

    def propose(self):
        return Proposal(next(self._numbers), next(self._codes))

    def report(self, proposal, code, objectives, constraints):
        known = None if objectives is None else objectives.tolist()
        self.told.append((code.tolist(), known, constraints.tolist()))


FAST, SLOW, FASTER = (1, 0, 0, 0), (3, 2, 4, 1), (0, 0, 1, 0)


def test_what_breaks_a_constraint_is_told_without_an_evaluation_and_asked_again(space):
    tool = Given(SLOW, FAST)
    searcher = ForeignSearcher(tool, space.brief(limit=4.0), repeats=True)
    np.testing.assert_array_equal(searcher.ask(1), [FAST])
    [(code, objectives, constraints)] = tool.told
    latency = space.latency(np.array([SLOW]))[0, 0]
    assert code == list(SLOW)
    assert np.isnan(objectives[0]) and objectives[1] == latency
    assert constraints == [latency / 4.0 - 1]


def test_with_repeats_a_code_is_asked_as_often_as_it_is_proposed(space):
    searcher = ForeignSearcher(Given(FAST), space.brief(), repeats=True)
    np.testing.assert_array_equal(searcher.ask(3), [FAST] * 3)


def test_without_repeats_what_is_known_is_told_again(space):
    tool = Given(FAST, FAST, FASTER)
    searcher = ForeignSearcher(tool, space.brief(), repeats=False)
    first = searcher.ask(1)
    searcher.tell(first, space.objectives(first))
    np.testing.assert_array_equal(searcher.ask(1), [FASTER])
    assert [told[:2] for told in tool.told] == [
        (list(FAST), space.objectives(first)[0].tolist())
    ] * 2


def test_without_repeats_every_feasible_code_is_asked_once(space):
    brief = space.brief(limit=4.0)
    codes = space.search(ForeignSearcher(Given(FAST, SLOW), brief, repeats=False, tries=5), 200)
    every = np.stack(np.unravel_index(np.arange(space.size()), space.cardinalities), axis=1)
    feasible = every[space.latency(every)[:, 0] <= 4.0]
    assert sorted(map(tuple, codes)) == sorted(map(tuple, feasible))


@pytest.mark.parametrize("repeats", [True, False])
def test_a_limit_that_nothing_meets_ends(space, repeats):
    searcher = ForeignSearcher(Given(FAST), space.brief(limit=0.1), repeats=repeats, tries=50)
    assert searcher.ask(3).shape == (0, 4)


def test_a_space_without_cardinalities_is_named():
    with pytest.raises(SpaceError, match="cardinalities"):
        cardinalities_of(object())
