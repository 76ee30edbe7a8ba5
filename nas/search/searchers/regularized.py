"""Regularised (aging) evolution: mutate the best of a few, let the oldest die.

    population: the last P codes that were told
    ask: draw S of them with replacement --> the best one --> its mutation
    tell: the code joins the population, the oldest leaves it

With one objective this is the paper's algorithm. With several, the best of a sample is the one on
the lowest front, and within a front the least crowded. Good codes also leave the population by age
and live on only in their children, so that a lucky evaluation is soon forgotten.

Paper: Real et al. 2018, https://arxiv.org/abs/1802.01548 (Algorithm 1)
"""

from __future__ import annotations

import numpy as np

from nas.search.asking.history import History, SequentialSearcher
from nas.search.asking.variation import by_rank, fresh_mutant, places_of, tournament
from nas.search.brief import Brief
from nas.search.protocol import Codes
from nas.search.searchers.registry import SEARCHERS, SearcherEntry

_POPULATION = (20, 100)
"""A fifth of the evaluations, at least 20 and at most 100 (the paper's)."""
_SAMPLE = 4
"""The population divided by the sample, as in the paper: 100 and 25."""


class Regularized:
    """See the module."""

    def __init__(self, brief: Brief, history: History) -> None:
        self._space, self._history = brief.space, history
        least, most = _POPULATION
        self._population = int(np.clip((brief.evaluations or 0) // 5, least, most))
        self._sample = max(2, self._population // _SAMPLE)

    def next(self) -> Codes:
        """The next code to ask, none for a random one: (<= 1, genes)."""
        history = self._history
        if history.asked < self._population or not history.told:
            return history.candidates.empty()
        codes, objectives = history.since(max(0, history.told - self._population))
        places = places_of(by_rank(objectives))
        winner = int(tournament(places, 1, self._sample, history.rng)[0])
        return fresh_mutant(self._space, history.candidates, codes[winner], history.rng)


def _build(brief: Brief) -> SequentialSearcher:
    history = History(brief)
    return SequentialSearcher(history, Regularized(brief, history).next)


SEARCHERS.register(
    SearcherEntry(
        name="regularized",
        description="Aging evolution: mutate the best of a few, let the oldest die.",
        paper="https://arxiv.org/abs/1802.01548",
        build=_build,
    )
)
