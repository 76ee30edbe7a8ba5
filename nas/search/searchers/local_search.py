"""Local search: ask the neighbours of the best codes, move to better ones, restart at an optimum.

    a few random codes --> their front
    ask: the member with the fewest asked neighbours --> one of its neighbours
    no neighbour of any member left --> a local optimum: start again from random codes

A neighbour has another choice in one gene. With one objective the front is the best code, and
this is the paper's variant that moves as soon as it finds a better neighbour.

Paper: White et al. 2020, https://arxiv.org/abs/2005.02960 (Section 3)
"""

from __future__ import annotations

import numpy as np

from nas.search.asking.history import History, SequentialSearcher
from nas.search.asking.listing import code_key
from nas.search.asking.scales import Granularity
from nas.search.brief import Brief
from nas.search.front import crowding, non_dominated
from nas.search.protocol import Codes
from nas.search.searchers.registry import SEARCHERS, SearcherEntry

_START = 10
"""Random codes before the first step and after a local optimum."""


class LocalSearch:
    """See the module."""

    def __init__(self, brief: Brief, history: History) -> None:
        self._history = history
        self._granularity = Granularity(brief, history.rng)
        self._visits: dict[bytes, int] = {}
        """Number of asked neighbours of each code."""
        self._random = _START
        self._left: set[bytes] = set()
        """Codes of earlier climbs."""

    def next(self) -> Codes:
        """The next code to ask, none for a random one: (<= 1, genes)."""
        history = self._history
        if self._random:
            self._random -= 1
            return history.candidates.empty()
        front = self._front()
        if not len(front):
            return front  # no results of this climb yet
        for code in sorted(front, key=self._visited):  # stable: the least crowded first
            neighbours = history.candidates.fresh(self._granularity.changes(code))
            if len(neighbours):
                self._visits[code_key(code)] = self._visited(code) + 1
                chosen = history.rng.integers(len(neighbours))
                return neighbours[chosen : chosen + 1]
        self._restart()
        return history.candidates.empty()

    def _front(self) -> Codes:
        """The front of this climb's results, the least crowded first: (k, genes)."""
        history = self._history
        if not history.told:
            return history.codes
        codes, objectives = history.codes, history.objectives
        if self._left:
            new = [i for i, code in enumerate(codes) if code_key(code) not in self._left]
            codes, objectives = codes[new], objectives[new]
        front = np.flatnonzero(non_dominated(objectives))
        return codes[front[np.argsort(-crowding(objectives[front]), kind="stable")]]

    def _visited(self, code: Codes) -> int:
        return self._visits.get(code_key(code), 0)

    def _restart(self) -> None:
        history = self._history
        self._left = {
            code_key(code) for codes in (history.codes, history.pending) for code in codes
        }
        self._random = _START - 1


def _build(brief: Brief) -> SequentialSearcher:
    history = History(brief)
    return SequentialSearcher(history, LocalSearch(brief, history).next)


SEARCHERS.register(
    SearcherEntry(
        name="local-search",
        description="Ask the neighbours of the best, move where one is better, restart.",
        paper="https://arxiv.org/abs/2005.02960",
        build=_build,
    )
)
