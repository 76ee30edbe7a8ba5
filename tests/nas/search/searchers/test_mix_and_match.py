from __future__ import annotations

import numpy as np

from nas.search import make_searcher
from nas.search.asking.history import History
from nas.search.asking.scales import Granularity
from nas.search.brief import Brief
from nas.search.searchers.mix_and_match import MixAndMatch
from search_spaces import load_space


def levels_along(space, codes):
    """For each role the sizes of its genes, (n, genes of it) each, none where inactive."""
    scales = Granularity(Brief(space, seed=0), np.random.default_rng(0)).scales
    shares = np.stack([scale.shares[codes[:, i]] for i, scale in enumerate(scales)], axis=1)
    roles = [scale.role for scale in scales]
    return {role: shares[:, [r == role for r in roles]] for role in dict.fromkeys(roles)}


def test_sizes_change_monotonically_and_by_one_step_at_most(space):
    space.cardinalities = np.full(space.num_genes, 4)
    codes = space.sample(500, np.random.default_rng(0))
    brief = Brief(space, seed=0)
    steps = np.diff(MixAndMatch(brief, History(brief)).schedules(codes), axis=1)
    assert np.abs(steps).max() == 1
    assert not ((steps > 0).any(axis=1) & (steps < 0).any(axis=1)).any()
    assert (steps == 0).all(axis=1).any()  # uniform submodels too


def test_in_a_search_space_kinds_stay_and_sizes_follow_the_depth():
    space = load_space("hybrid-tiny")
    codes = space.sample(300, np.random.default_rng(0))
    brief = Brief(space, seed=0)
    scheduled = MixAndMatch(brief, History(brief)).schedules(codes)
    for i, gene in enumerate(space.genes):
        kinds = np.array(gene.kinds)
        np.testing.assert_array_equal(kinds[scheduled[:, i]], kinds[codes[:, i]])
    steps = np.diff(levels_along(space, scheduled)["width"], axis=1)
    assert not ((steps > 0).any(axis=1) & (steps < 0).any(axis=1)).any()
    assert np.abs(steps).max() <= 0.5


def test_asks_walk_along_the_range_of_latency(space, objectives, latency_of):
    searcher = make_searcher("mix-and-match", Brief(space, 0, known_objectives=latency_of))
    asked = []
    for _ in range(40):
        code = searcher.ask(1)
        searcher.tell(code, objectives(code))
        asked.append(latency_of(code)[0, 0])
    fastest = latency_of(np.zeros((1, space.num_genes), dtype=int))[0, 0]
    slowest = latency_of((space.cardinalities - 1)[None])[0, 0]
    counts, _ = np.histogram(asked, bins=4, range=(fastest, slowest))
    assert counts.min() >= 4
