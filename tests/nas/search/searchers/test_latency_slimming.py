from __future__ import annotations

import numpy as np
import pytest

from nas.search.asking.history import History
from nas.search.brief import Brief
from nas.search.searchers.latency_slimming import LatencySlimming
from search_spaces import load_space


def told(brief, evaluate, n=300):
    """A searcher that was told of `n` random codes."""
    history = History(brief)
    codes = history.candidates.take(n)
    history.tell(codes, evaluate(codes))
    return LatencySlimming(brief, history)


def test_a_path_is_ever_faster_from_the_largest_to_the_fastest(
    space, brief, latency_of, objectives
):
    largest = (space.cardinalities - 1).astype(np.int16)
    path = told(brief, objectives).path(largest)
    np.testing.assert_array_equal(path[0], largest)
    assert (np.diff(latency_of(path)[:, 0]) < 0).all()
    assert ((path[1:] != path[:-1]).sum(axis=1) == 1).all()
    assert not path[-1].any()


def test_what_costs_no_error_goes_first(space, latency_of):
    """Only genes 2 and 6 decide on the error, so all others are the smallest before them."""

    def evaluate(codes):
        return np.stack([10.0 - codes[:, 2] - codes[:, 6], latency_of(codes)[:, 0]], axis=1)

    slimming = told(Brief(space, seed=0, known_objectives=latency_of), evaluate)
    path = slimming.path((space.cardinalities - 1).astype(np.int16))
    touched = np.flatnonzero((path[:, [2, 6]] != path[0, [2, 6]]).any(axis=1))[0]
    assert not path[touched - 1, [0, 1, 3, 4, 5]].any()


@pytest.mark.parametrize("known", [True, False])
def test_in_a_search_space_every_member_of_a_path_is_an_architecture(known):
    space = load_space("hybrid-tiny")

    def size(codes):
        return (codes.sum(axis=1) + codes[:, 0])[:, None].astype(float)

    brief = Brief(space, seed=0, known_objectives=size if known else None)
    slimming = told(brief, lambda codes: np.concatenate([1 / (1 + size(codes)), size(codes)], 1))
    path = slimming.path(space.largest())
    assert space.contains(path).all()
    assert len(path) > 10
