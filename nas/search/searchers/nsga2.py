"""NSGA-II: keeps the best of parents and children by front and crowding in each generation.

    population --> binary tournaments --> crossover, mutation --> children, asked
    population + children told --> fronts; the last one by crowding --> population

The plain algorithm without a surrogate. It is the baseline for searchers with one, and the
choice if an evaluation takes microseconds. Children that were asked before or break a constraint
are replaced before they are asked. A generation is bred from the results told so far.

Paper: Deb et al. 2002, https://doi.org/10.1109/4235.996017
"""

from __future__ import annotations

import numpy as np

from nas.search.asking.history import GenerationSearcher, History
from nas.search.asking.variation import by_rank, fresh_children
from nas.search.brief import Brief
from nas.search.protocol import Codes, Floats
from nas.search.searchers.registry import SEARCHERS, SearcherEntry

_POPULATION = (20, 100)
"""A tenth of the evaluations, at least 20 and at most 100."""


class Nsga2:
    """See the module."""

    def __init__(self, brief: Brief, history: History) -> None:
        self._space, self._history = brief.space, history
        least, most = _POPULATION
        self._size = int(np.clip((brief.evaluations or 0) // 10, least, most))
        self._codes = history.candidates.empty()
        self._objectives: Floats = np.empty((0, 1))
        self._seen = 0

    def generation(self) -> Codes:
        """The codes to ask next, none for a random one: (<= population, genes)."""
        history = self._history
        if history.told < self._size // 2:
            return history.candidates.fresh(self._space.sample(self._size, history.rng))
        self._survive()
        return fresh_children(
            self._space, history.candidates, self._codes, self._size, history.rng
        )

    def _survive(self) -> None:
        """Add the results since the last generation, and keep the best."""
        if self._history.told == self._seen:
            return
        codes, objectives = self._history.since(self._seen)
        if self._seen:
            codes = np.concatenate([self._codes, codes])
            objectives = np.concatenate([self._objectives, objectives])
        best = by_rank(objectives)[: self._size]
        self._codes, self._objectives = codes[best], objectives[best]
        self._seen = self._history.told


def _build(brief: Brief) -> GenerationSearcher:
    history = History(brief)
    return GenerationSearcher(history, Nsga2(brief, history).generation)


SEARCHERS.register(
    SearcherEntry(
        name="nsga2",
        description="Non-dominated sorting and crowding, a generation at a time.",
        paper="https://doi.org/10.1109/4235.996017",
        build=_build,
    )
)
