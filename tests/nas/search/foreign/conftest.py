"""A space with a formula, and a search loop as the benchmark has it."""

from __future__ import annotations

import numpy as np
import pytest

from nas.search.brief import Brief

CARDINALITIES = (4, 3, 5, 2)


class FormulaSpace:
    """Every combination of four genes is a code."""

    cardinalities = CARDINALITIES
    num_genes = len(CARDINALITIES)

    def sample(self, n, rng):
        return rng.integers(CARDINALITIES, size=(n, self.num_genes)).astype(np.int16)

    def mutate(self, codes, rng):
        codes = codes.copy()
        genes = rng.integers(self.num_genes, size=len(codes))
        rows = np.arange(len(codes))
        codes[rows, genes] = (codes[rows, genes] + 1) % np.array(CARDINALITIES)[genes]
        return codes

    def crossover(self, first, second, rng):
        return np.where(rng.random(first.shape) < 0.5, first, second)

    def features(self, codes):
        return codes.astype(np.float32)

    def contains(self, codes):
        return ((codes >= 0) & (codes < CARDINALITIES)).all(axis=1)

    def size(self):
        return int(np.prod(CARDINALITIES))

    def latency(self, codes):
        return (1.0 + codes @ np.array([1.5, 0.25, 0.5, 2.0]))[:, None]

    def objectives(self, codes):
        share = codes / (np.array(CARDINALITIES) - 1)
        error = 0.4 - 0.1 * np.sqrt(share).sum(axis=1) + 0.03 * share[:, 0] * share[:, 1]
        return np.column_stack([error, self.latency(codes)])

    def brief(self, seed=0, limit=None, *, may_repeat=True):
        """A search of it, under a limit on the latency."""
        constraints = None if limit is None else (lambda codes: self.latency(codes) / limit - 1)
        return Brief(self, seed, constraints, self.latency, may_repeat=may_repeat)

    def search(self, searcher, evaluations, *, lag=1):
        """The codes that were asked, each told `lag` asks later."""
        codes = []
        for i in range(evaluations):
            if i >= lag:
                told = codes[i - lag][None]
                searcher.tell(told, self.objectives(told))
            asked = searcher.ask(1)
            if not len(asked):
                break
            codes.append(asked[0])
        return np.stack(codes) if codes else np.empty((0, self.num_genes))


@pytest.fixture
def space():
    return FormulaSpace()
