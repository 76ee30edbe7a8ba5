from __future__ import annotations

import numpy as np
import pytest

from nas.errors import SpaceError
from nas.search import Brief, make_searcher
from nas.search.foreign.optuna import OptunaTool
from nas.search.foreign.tool import cardinalities_of
from search_spaces import load_space


def values(codes):
    return np.stack([np.sin(codes).sum(axis=1), codes.sum(axis=1)], axis=1).astype(float)


def test_where_nothing_repeats_it_asks_what_optuna_proposes(space):
    searcher = make_searcher("tpe", Brief(space, 2))
    tool = OptunaTool(cardinalities_of(space), "tpe", seed=2, joint=True)
    seen = set()
    for _ in range(25):
        code = searcher.ask(1)
        proposal = tool.propose()
        if proposal.genes.tobytes() in seen:
            break
        np.testing.assert_array_equal(code[0], proposal.genes)
        seen.add(proposal.genes.tobytes())
        searcher.tell(code, values(code))
        tool.report(proposal, code[0], values(code)[0], np.empty(0))
    assert len(seen) > 12  # past the ten that are random


def test_what_optuna_proposes_becomes_a_code_of_the_space():
    space = load_space("hybrid-tiny")
    searcher = make_searcher("tpe", Brief(space, 0))
    for _ in range(3):
        codes = searcher.ask(6)
        assert space.contains(codes).all()
        searcher.tell(codes, values(codes))


def test_a_space_without_cardinalities_is_refused(space):
    del space.cardinalities
    with pytest.raises(SpaceError, match="need a space that names its genes' cardinalities"):
        make_searcher("tpe", Brief(space, 0))
