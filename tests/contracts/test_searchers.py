"""What every searcher promises, on a small space of mixed cardinalities."""

from __future__ import annotations

import random

import numpy as np
import pytest
import threadpoolctl

import nas.search.searchers
from nas.errors import MissingExtraError, UnknownNameError
from nas.search import SEARCHERS, Brief, SearcherEntry, make_searcher
from nas.search.protocol import CodeSpace, Searcher
from search_spaces.registry import modules_below

OURS = [entry for entry in SEARCHERS if entry.package is None]
searchers = pytest.mark.parametrize("name", [e.name for e in OURS if e.needs == "evaluations"])
entries = pytest.mark.parametrize("entry", list(SEARCHERS), ids=lambda entry: entry.name)


class GridSpace:
    """All combinations of gene values; latency adds up, accuracy has pairs in it."""

    def __init__(self, *cardinalities):
        self.cardinalities = np.array(cardinalities)
        self.num_genes = len(cardinalities)
        weights = np.random.default_rng(7)
        self._main = weights.normal(size=(self.num_genes, max(cardinalities)))
        self._cost = weights.uniform(0.1, 1.0, size=(self.num_genes, max(cardinalities)))

    def sample(self, n, rng):
        return rng.integers(self.cardinalities, size=(n, self.num_genes)).astype(np.int16)

    def mutate(self, codes, rng):
        codes = codes.copy()
        genes = rng.integers(self.num_genes, size=len(codes))
        step = rng.choice([-1, 1], size=len(codes))
        rows = np.arange(len(codes))
        codes[rows, genes] = (codes[rows, genes] + step) % self.cardinalities[genes]
        return codes

    def crossover(self, first, second, rng):
        return np.where(rng.random(first.shape) < 0.5, first, second)

    def features(self, codes):
        return np.concatenate(
            [np.eye(k)[codes[:, i]] for i, k in enumerate(self.cardinalities)], axis=1
        ).astype(np.float32)

    def contains(self, codes):
        return ((codes >= 0) & (codes < self.cardinalities)).all(axis=1)

    def size(self):
        return int(np.prod(self.cardinalities))

    def latency(self, codes):
        return self._cost[np.arange(self.num_genes), codes].sum(axis=1)[:, None]

    def objectives(self, codes):
        main = self._main[np.arange(self.num_genes), codes]
        latency = self.latency(codes)[:, 0]
        score = main.sum(axis=1) + 0.5 * (main[:, :-1] * main[:, 1:]).sum(axis=1) + latency
        return np.stack([1 / (1 + np.exp(0.3 * score)), latency], axis=1)


class ListedGrid(GridSpace):
    """The same, and it can list itself."""

    def enumerate(self):
        return np.stack(np.unravel_index(np.arange(self.size()), self.cardinalities), axis=1)


SPACE = GridSpace(4, 3, 5, 2, 4, 3, 5)


def run(space, name, evaluations, *, seed=0, lag=4, objectives=None, replay=None, **options):
    """The codes that were asked, one by one, `lag` ahead of the results."""
    searcher = make_searcher(name, Brief(space, seed, **options))
    objectives = space.objectives if objectives is None else objectives
    codes = []
    for i in range(evaluations):
        if i >= lag:
            told = codes[i - lag][None]
            searcher.tell(told, objectives(told))
        asked = searcher.ask(1)
        if not len(asked):
            break
        codes.append(asked[0])
    return np.stack(codes) if codes else np.empty((0, space.num_genes))


def limit_at(quantile, space=SPACE):
    """A latency limit that this share of the space keeps, as constraints."""
    sampled = space.latency(space.sample(4096, np.random.default_rng(1)))
    limit = np.quantile(sampled, quantile)
    return lambda codes: space.latency(codes) / limit - 1


def disturb(seed):
    np.random.seed(seed)
    random.seed(seed)


def test_every_file_registers_a_searcher():
    files = {name.rpartition(".")[2] for name in modules_below(nas.search.searchers)}
    registering = {entry.build.__module__.rpartition(".")[2] for entry in SEARCHERS}
    assert registering == files - {"registry"}


@entries
def test_an_entry_says_what_it_is(entry):
    assert entry.description.endswith(".")
    assert entry.paper.startswith("https://")
    assert entry.needs in ("evaluations", "supernet")
    assert entry.package is not None or entry.extra is None


@searchers
def test_a_searcher_keeps_the_protocol(name):
    space: CodeSpace = SPACE
    searcher: Searcher = make_searcher(name, Brief(space, 0))
    codes = searcher.ask(5)
    assert codes.shape == (5, SPACE.num_genes)
    assert np.issubdtype(codes.dtype, np.integer)


@searchers
@pytest.mark.parametrize("known", [None, SPACE.latency], ids=["all-learnt", "latency-known"])
def test_the_same_seed_asks_the_same_whatever_the_global_state_and_threads(name, known):
    disturb(1)
    with threadpoolctl.threadpool_limits(1):
        first = run(SPACE, name, 60, seed=3, known_objectives=known)
    disturb(2)
    with threadpoolctl.threadpool_limits(2):
        second = run(SPACE, name, 60, seed=3, known_objectives=known)
    np.testing.assert_array_equal(first, second)


@searchers
def test_searching_leaves_the_global_state_alone(name):
    disturb(5)
    expected = np.random.random(), random.random()
    disturb(5)
    run(SPACE, name, 30, known_objectives=SPACE.latency)
    assert (np.random.random(), random.random()) == expected


@searchers
def test_another_seed_asks_others(name):
    assert not np.array_equal(run(SPACE, name, 20, seed=0), run(SPACE, name, 20, seed=1))


@searchers
@pytest.mark.parametrize("batch", [1, 7, 50])
def test_no_code_is_asked_twice(name, batch):
    searcher = make_searcher(name, Brief(SPACE, 0, known_objectives=SPACE.latency))
    asked = []
    for _ in range(150 // batch):
        codes = searcher.ask(batch)
        assert len(codes) == batch
        searcher.tell(codes, SPACE.objectives(codes))
        asked.append(codes)
    asked = np.concatenate(asked)
    assert len(np.unique(asked, axis=0)) == len(asked)


@searchers
@pytest.mark.parametrize("quantile", [0.5, 0.02])
def test_nothing_infeasible_is_asked(name, quantile):
    constraints = limit_at(quantile)
    codes = run(SPACE, name, 60, constraints=constraints, known_objectives=SPACE.latency)
    assert len(codes) == 60
    assert (constraints(codes) <= 0).all()


@searchers
def test_every_constraint_counts(name):
    def constraints(codes):
        return np.stack([codes[:, 0] - 1.0, 2.0 - codes[:, 2], 0.0 * codes[:, 1]], axis=1)

    codes = run(SPACE, name, 60, constraints=constraints)
    assert codes[:, 0].max() == 1
    assert codes[:, 2].min() == 2


@searchers
@pytest.mark.parametrize("grid", [GridSpace, ListedGrid])
@pytest.mark.parametrize("lag", [1, 16])
def test_a_small_space_ends_when_all_were_asked(name, grid, lag):
    space = grid(3, 4, 2)
    codes = run(space, name, 100, lag=lag)
    assert len(np.unique(codes, axis=0)) == len(codes) == space.size()


@searchers
def test_the_feasible_part_of_a_small_space_is_asked_whole(name):
    space = GridSpace(3, 4, 2)
    constraints = limit_at(0.3, space)
    every = np.stack(np.unravel_index(np.arange(space.size()), space.cardinalities), axis=1)
    feasible = every[(constraints(every) <= 0).all(axis=1)]
    codes = run(space, name, 100, constraints=constraints)
    np.testing.assert_array_equal(np.unique(codes, axis=0), np.unique(feasible, axis=0))


@searchers
def test_an_ended_search_stays_ended(name):
    space = GridSpace(3, 2)
    searcher = make_searcher(name, Brief(space, 0))
    codes = searcher.ask(100)
    assert len(codes) == 6
    searcher.tell(codes, space.objectives(codes))
    assert searcher.ask(3).shape == (0, 2)
    assert searcher.ask(3).shape == (0, 2)


@searchers
@pytest.mark.parametrize("cardinality", [1, 5])
def test_a_single_gene_is_enough(name, cardinality):
    space = GridSpace(cardinality)
    assert len(run(space, name, 20, known_objectives=space.latency)) == cardinality


@searchers
def test_nothing_feasible_gives_nothing_at_once(name):
    searcher = make_searcher(
        name, Brief(SPACE, 0, constraints=lambda codes: codes[:, :1] * 0.0 + 1)
    )
    assert searcher.ask(4).shape == (0, SPACE.num_genes)
    assert searcher.ask(4).shape == (0, SPACE.num_genes)


@searchers
def test_a_needle_of_feasible_codes_is_found(name):
    space = GridSpace(*[5] * 12)  # 1 of 2e6 samples fits
    codes = run(space, name, 5, constraints=lambda codes: codes.sum(axis=1)[:, None] / 6.0 - 1)
    assert len(codes) == 5
    assert codes.sum(axis=1).max() <= 6


@searchers
@pytest.mark.parametrize("value", [0.0, 1.0, -2.0])
def test_a_constant_objective_does_no_harm(name, value):
    codes = run(SPACE, name, 40, objectives=lambda codes: np.full((len(codes), 2), value))
    assert len(np.unique(codes, axis=0)) == 40


@searchers
@pytest.mark.parametrize("m", [1, 2, 3])
def test_any_number_of_objectives_is_searched(name, m):
    def objectives(codes):
        both = SPACE.objectives(codes)
        return np.concatenate([both, codes.sum(axis=1)[:, None]], axis=1)[:, :m]

    codes = run(SPACE, name, 40, objectives=objectives)
    assert len(np.unique(codes, axis=0)) == 40
    exact = run(
        SPACE,
        name,
        40,
        objectives=objectives,
        known_objectives=lambda codes: objectives(codes)[:, 1:],
    )
    assert len(np.unique(exact, axis=0)) == 40


@searchers
@pytest.mark.parametrize("share", [0.3, 1.0])
def test_failed_evaluations_are_survived_and_not_repeated(name, share):
    def objectives(codes):
        values = SPACE.objectives(codes)
        values[codes.sum(axis=1) % 10 < share * 10, 0] = np.nan
        return values

    codes = run(SPACE, name, 60, objectives=objectives, known_objectives=SPACE.latency)
    assert len(np.unique(codes, axis=0)) == 60


@searchers
def test_replaying_asks_and_tells_restores_a_searcher(name):
    whole = run(SPACE, name, 50, seed=4, known_objectives=SPACE.latency)
    half = run(SPACE, name, 25, seed=4, known_objectives=SPACE.latency)
    np.testing.assert_array_equal(whole[:25], half)

    searcher = make_searcher(name, Brief(SPACE, 4, known_objectives=SPACE.latency))
    for i in range(50):
        if i >= 4:
            searcher.tell(whole[i - 4 : i - 3], SPACE.objectives(whole[i - 4 : i - 3]))
        np.testing.assert_array_equal(searcher.ask(1)[0], whole[i])


def test_an_unknown_searcher_is_refused_with_the_nearest_name():
    with pytest.raises(
        UnknownNameError, match=r"Unknown searcher 'evolutoin'\. Did you mean 'evolution'\?"
    ):
        make_searcher("evolutoin", Brief(SPACE, 0))


def test_a_searcher_whose_package_is_missing_names_the_extra_to_install():
    def build(brief):
        raise AssertionError("it is not installed")

    entry = SearcherEntry(
        "absent",
        "Absent.",
        "https://x",
        build,
        package="no_such_package",
        extra="x",
    )
    with pytest.raises(MissingExtraError, match=r"'absent' needs 'no_such_package'.*\.\[x\]"):
        entry.check_installed()
