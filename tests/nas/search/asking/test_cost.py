"""Costs of codes, and how codes are spread over them."""

from __future__ import annotations

import numpy as np
import pytest

from nas.search.asking.cost import Cost, evenly
from nas.search.brief import Brief
from search_spaces import load_space


@pytest.fixture(scope="module")
def space():
    return load_space("hybrid-cifar")


def milliseconds(codes):
    return np.stack([codes.sum(axis=1), 100.0 * codes[:, 0]], axis=1)


def test_a_cost_weighs_every_target_alike(space):
    cost = Cost(Brief(space, 0, known_objectives=milliseconds), np.random.default_rng(0))
    scaled = milliseconds(cost.samples)
    scaled = (scaled - scaled.mean(axis=0)) / scaled.std(axis=0)
    np.testing.assert_allclose(cost(cost.samples), scaled.mean(axis=1))


def test_without_known_objectives_the_constraints_are_the_cost(space):
    brief = Brief(space, 0, constraints=lambda codes: codes[:, :1] - 1.0)
    cost = Cost(brief, np.random.default_rng(0))
    codes = space.sample(20, np.random.default_rng(1))
    np.testing.assert_array_equal(np.argsort(cost(codes)), np.argsort(codes[:, 0] * 1.0))


def test_without_either_larger_architectures_cost_more(space):
    cost = Cost(
        Brief(space, 0, known_objectives=lambda codes: np.zeros((len(codes), 0))),
        np.random.default_rng(0),
    )
    smallest, largest = cost(np.stack([space.smallest(), space.largest()]))
    assert smallest < -1 < 1 < largest


def test_a_code_of_unknown_cost_is_the_most_expensive(space):
    cost = Cost(
        Brief(
            space,
            0,
            known_objectives=lambda codes: np.where(codes[:, :1] > 0, np.nan, codes[:, 1:2]),
        ),
        np.random.default_rng(0),
    )
    codes = np.stack([space.smallest(), space.largest()])
    assert np.isfinite(cost(codes)).tolist() == [True, False]
    assert len(cost(codes[:0])) == 0


def test_evenly_spread_codes_hold_both_ends_and_no_code_twice():
    codes = np.arange(100, dtype=np.int16)[:, None]
    costs = codes[:, 0] ** 2.0
    chosen = evenly(np.concatenate([codes, codes]), np.concatenate([costs, costs]), 5)
    np.testing.assert_array_equal(chosen[:, 0], [0, 49, 70, 86, 99])
    np.testing.assert_array_equal(evenly(codes[[7, 3, 7]], costs[[7, 3, 7]], 5)[:, 0], [3, 7])
    assert evenly(codes[:0], costs[:0], 5).shape == (0, 1)
