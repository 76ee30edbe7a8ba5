"""What the searchers are run on: `FormulaSpace`, larger genes slower and more accurate."""

from __future__ import annotations

import numpy as np
import pytest

from nas.search.brief import Brief


@pytest.fixture
def latency_of(space):
    return lambda codes: (0.41 + 0.1 * codes @ np.arange(1.0, space.num_genes + 1))[:, None]


@pytest.fixture
def objectives(space, latency_of):
    def both(codes):
        share = np.sqrt(codes / (space.cardinalities - 1)).mean(axis=1)
        return np.stack([1 - share, latency_of(codes)[:, 0]], axis=1)

    return both


@pytest.fixture
def brief(space, latency_of):
    return Brief(space, seed=0, known_objectives=latency_of, evaluations=200)
