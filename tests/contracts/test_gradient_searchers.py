"""What every searcher promises, of those that take gradients, on a small supernet."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from nas.errors import SettingsError
from nas.search import SEARCHERS, Brief, make_searcher
from nas.search.gradients.supernet_gradients import SupernetGradients
from search_spaces.data_shape import DataShape
from search_spaces.definition import read_definition
from search_spaces.space import SearchSpace
from supernet.supernet import Supernet
from tests.blobs import Blobs

TEXT = """
schema: 1
name: small
resolution: [6, 8]
stem: [conv: {stride: [2, 1]}]
stages:
- width: [8, 12]
  depth: [1, 2]
  mixers: [depthwise: {kernel: [3, 5]}, pool, attention]
  channel_mixers: [none, mlp: {ratio: [1, 2]}]
- {width: [12, 20], depth: 1, stride: 2, downsampling: [conv, pool], mixers: [pool, linear]}
"""
FEW = """
schema: 1
name: few
resolution: 6
stem: [conv]
stages:
- {width: 8, depth: [1, 2], mixers: [depthwise, pool], channel_mixers: [none, mlp: {ratio: 1}]}
"""
ONE_GENE = """
schema: 1
name: one
resolution: 6
stem: [conv]
stages: [{width: 8, depth: 1, mixers: [depthwise: {kernel: [3, 5]}, pool, attention]}]
"""
ONE = """
schema: 1
name: single
resolution: 6
stem: [conv]
stages: [{width: 8, depth: 1, mixers: [pool]}]
"""
searchers = pytest.mark.parametrize(
    "name", [entry.name for entry in SEARCHERS if entry.needs == "supernet"]
)


class Remembered:
    """Gradients that are computed once and shared by the tests: they depend on arguments only."""

    def __init__(self, gradients: SupernetGradients) -> None:
        self._gradients, self._known = gradients, {}
        self.space, self.supernet = gradients.space, gradients.supernet

    def losses(self, codes, step):
        return self._once("losses", codes, step)

    def changes(self, code, step, exact=2):
        return self._once("changes", code, step, exact)

    def taylor(self, code, step):
        return self._once("taylor", code, step)

    def _once(self, name, codes, *options):
        key = name, codes.tobytes(), *options
        if key not in self._known:
            self._known[key] = getattr(self._gradients, name)(codes, *options)
        return self._known[key]


class Problem:
    """A space and gradients; latency adds up over features, errors depend on pairs of them."""

    def __init__(self, text: str) -> None:
        self.space = SearchSpace(read_definition(text, "test"))
        supernet = Supernet(self.space, DataShape(1, 2))
        self.gradients = Remembered(
            SupernetGradients(self.space, supernet, Blobs().batch, batch_size=4)
        )
        rng = np.random.default_rng(7)
        count = self.space.features(self.space.largest()[None]).shape[1]
        self._cost, self._main = rng.uniform(0.1, 1.0, count), rng.normal(size=count)

    def latency(self, codes):
        return (0.5 + self.space.features(codes) @ self._cost)[:, None]

    def objectives(self, codes):
        features = self.space.features(codes)
        score = features @ self._main + (features[:, 1:] * features[:, :-1]).sum(axis=1)
        error = 1 / (1 + np.exp(0.3 * score))
        return np.stack([error, self.latency(codes)[:, 0]], axis=1)

    def limit_at(self, quantile):
        sampled = self.latency(self.space.sample(2048, np.random.default_rng(1)))
        limit = np.quantile(sampled, quantile)
        return lambda codes: self.latency(codes) / limit - 1

    def searcher(self, name, seed=0, **options):
        return make_searcher(name, Brief(self.space, seed, gradients=self.gradients, **options))

    def run(self, name, evaluations, *, lag=4, objectives=None, **options):
        """The codes that were asked, one by one, `lag` ahead of the results."""
        searcher = self.searcher(name, **options)
        objectives = objectives or self.objectives
        codes = []
        for i in range(evaluations):
            if i >= lag:
                searcher.tell(codes[i - lag][None], objectives(codes[i - lag][None]))
            asked = searcher.ask(1)
            if not len(asked):
                break
            codes.append(asked[0])
        return np.stack(codes) if codes else np.empty((0, self.space.num_genes))


@pytest.fixture(scope="module")
def small():
    return Problem(TEXT)


@searchers
def test_without_a_supernet_it_says_what_it_needs(name, small):
    with pytest.raises(SettingsError, match=f"Searcher '{name}' needs a supernet"):
        make_searcher(name, Brief(small.space, 0))


@searchers
@pytest.mark.parametrize("known", [True, False], ids=["latency-known", "all-learnt"])
def test_the_same_seed_asks_the_same_whatever_the_global_state_and_threads(name, known, small):
    options = {"known_objectives": small.latency} if known else {}
    runs = []
    for threads, state in ((1, 1), (2, 2)):
        np.random.seed(state)
        random.seed(state)
        torch.manual_seed(state)
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            runs.append(small.run(name, 26, seed=3, **options))
        finally:
            torch.set_num_threads(before)
    np.testing.assert_array_equal(*runs)


@searchers
def test_searching_leaves_the_global_state_and_the_weights_alone(name, small):
    np.random.seed(5)
    torch.manual_seed(5)
    state = np.random.get_state()[1].copy(), torch.get_rng_state()
    parameters = list(small.gradients.supernet.parameters())
    weights = [p.detach().clone() for p in parameters]
    small.run(name, 20, known_objectives=small.latency)
    np.testing.assert_array_equal(np.random.get_state()[1], state[0])
    assert torch.equal(torch.get_rng_state(), state[1])
    assert all(torch.equal(a, b) for a, b in zip(weights, parameters, strict=True))
    assert all(p.grad is None for p in parameters)


@searchers
def test_another_seed_asks_others(name, small):
    assert not np.array_equal(small.run(name, 30, seed=0), small.run(name, 30, seed=1))


@searchers
@pytest.mark.parametrize("batch", [1, 50])
def test_no_code_is_asked_twice(name, batch, small):
    searcher = small.searcher(name, known_objectives=small.latency)
    asked = []
    for _ in range(100 // batch):
        codes = searcher.ask(batch)
        assert codes.shape == (batch, small.space.num_genes)
        searcher.tell(codes, small.objectives(codes))
        asked.append(codes)
    asked = np.concatenate(asked)
    assert np.issubdtype(asked.dtype, np.integer)
    assert len(np.unique(asked, axis=0)) == len(asked)
    assert small.space.contains(asked).all()


@searchers
@pytest.mark.parametrize("quantile", [0.5, 0.05])
def test_nothing_infeasible_is_asked(name, quantile, small):
    constraints = small.limit_at(quantile)
    codes = small.run(name, 26, constraints=constraints, known_objectives=small.latency)
    assert len(codes) == 26
    assert (constraints(codes) <= 0).all()


@searchers
@pytest.mark.parametrize("lag", [1, 16])
def test_a_small_space_ends_when_all_were_asked(name, lag):
    few = Problem(FEW)
    codes = few.run(name, 100, lag=lag)
    assert len(np.unique(codes, axis=0)) == len(codes) == few.space.size() == 20


@searchers
def test_an_ended_search_stays_ended(name):
    few = Problem(FEW)
    searcher = few.searcher(name)
    codes = searcher.ask(100)
    searcher.tell(codes, few.objectives(codes))
    assert len(codes) == 20
    assert searcher.ask(3).shape == (0, few.space.num_genes)
    assert searcher.ask(3).shape == (0, few.space.num_genes)


@searchers
@pytest.mark.parametrize(("text", "size"), [(ONE_GENE, 4), (ONE, 1)])
def test_a_single_gene_is_enough(name, text, size):
    problem = Problem(text)
    assert len(problem.run(name, 20, known_objectives=problem.latency)) == size


@searchers
def test_nothing_feasible_gives_nothing_at_once(name, small):
    searcher = small.searcher(name, constraints=lambda codes: codes[:, :1] * 0.0 + 1)
    assert searcher.ask(4).shape == (0, small.space.num_genes)
    assert searcher.ask(4).shape == (0, small.space.num_genes)


@searchers
@pytest.mark.parametrize("value", [0.0, -2.0])
def test_a_constant_objective_does_no_harm(name, value, small):
    codes = small.run(name, 26, objectives=lambda codes: np.full((len(codes), 2), value))
    assert len(np.unique(codes, axis=0)) == 26


@searchers
@pytest.mark.parametrize("m", [1, 3])
def test_any_number_of_objectives_is_searched(name, m, small):
    def objectives(codes):
        total = codes.sum(axis=1)[:, None]
        return np.concatenate([small.objectives(codes), total], axis=1)[:, :m]

    codes = small.run(name, 26, objectives=objectives)
    assert len(np.unique(codes, axis=0)) == 26
    codes = small.run(
        name, 26, objectives=objectives, known_objectives=lambda codes: objectives(codes)[:, 1:]
    )
    assert len(np.unique(codes, axis=0)) == 26


@searchers
@pytest.mark.parametrize("share", [0.3, 1.0])
def test_failed_evaluations_are_survived_and_not_repeated(name, share, small):
    def objectives(codes):
        values = small.objectives(codes)
        values[codes.sum(axis=1) % 10 < share * 10, 0] = np.nan
        return values

    codes = small.run(name, 26, objectives=objectives, known_objectives=small.latency)
    assert len(np.unique(codes, axis=0)) == 26


@searchers
def test_replaying_asks_and_tells_restores_a_searcher(name, small):
    whole = small.run(name, 26, seed=4, known_objectives=small.latency)
    np.testing.assert_array_equal(
        whole[:13], small.run(name, 13, seed=4, known_objectives=small.latency)
    )
    searcher = small.searcher(name, seed=4, known_objectives=small.latency)
    for i in range(26):
        if i >= 4:
            searcher.tell(whole[i - 4 : i - 3], small.objectives(whole[i - 4 : i - 3]))
        np.testing.assert_array_equal(searcher.ask(1)[0], whole[i])
