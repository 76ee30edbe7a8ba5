"""Down-scaling: contract the largest architectures factor by factor, and keep the best.

    roots    the largest codes, their kinds drawn --> contracted until they fit, or further
    step     the best code that was not contracted yet, by front and then the least crowded
             --> each of its factors one step smaller --> those within the constraints are asked

A factor is a resolution, a stage's width or depth, or a mixer's option (window, kernel) or an
expansion ratio for all blocks of a stage. A contracted architecture is never larger than the one
it comes from, and those that lost the least accuracy are contracted next.

Paper: TinyViT, Wu et al. 2022, https://arxiv.org/abs/2207.10666 (contraction factors, constrained
local search)
"""

from __future__ import annotations

import numpy as np

from nas.search.asking.history import GenerationSearcher, History
from nas.search.asking.listing import code_key, listed
from nas.search.asking.scales import Granularity
from nas.search.asking.variation import GOLDEN, by_rank
from nas.search.brief import Brief
from nas.search.protocol import Codes, Floats
from nas.search.searchers.registry import SEARCHERS, SearcherEntry

_ROOTS = 16
_MORE = 4
"""16 roots to begin with, and 4 more in every 4th generation."""


class DownScaling:
    """See the module."""

    def __init__(self, brief: Brief, history: History) -> None:
        self._space, self._history, self._rng = brief.space, history, history.rng
        self._granularity = Granularity(brief, history.rng)
        self._contracted: set[bytes] = set()
        self._limited = brief.constraints is not None
        self._generations = self._planted = 0

    def generation(self) -> Codes:
        """The codes to ask next, none for a random one: (n, genes)."""
        candidates = self._history.candidates
        self._generations += 1
        if self._generations % _MORE == 1:
            roots = candidates.fresh(self._roots(_ROOTS if self._generations == 1 else _MORE))
            if len(roots):
                return roots
        for code in self._parents():
            self._contracted.add(code_key(code))
            smaller = candidates.fresh(self._granularity.contractions(code))
            if len(smaller):
                return smaller[self._rng.permutation(len(smaller))]
        return candidates.empty()

    def _parents(self) -> Codes:
        """The codes that were told and not contracted yet, the best first: (n, genes)."""
        history = self._history
        if not history.told:
            return history.codes
        best = history.codes[by_rank(history.objectives)]
        new = [i for i, code in enumerate(best) if code_key(code) not in self._contracted]
        return best[new]

    def _roots(self, n: int) -> Codes:
        """Largest codes of drawn kinds, each contracted to another size: (<= n, genes).

        One of the codes that fit on the way to the smallest is taken: at an evenly spread place,
        or, for every second root under a budget, the first.
        """
        roots = []
        for _ in range(n):
            self._planted += 1
            share = self._planted * GOLDEN % 1.0
            if self._limited and self._planted % 2:
                share = 0.0
            way = listed(self._space, self._way(self._granularity.largest()), self._rng)
            fitting = way[self._history.candidates.feasible(way)]
            roots.append(fitting[int(share * len(fitting)) :][:1])
        return np.concatenate(roots)

    def _way(self, code: Codes) -> Codes:
        """From `code` (genes,) to the smallest, one factor a step smaller each time: (k, genes).

        The order of the contractions is random: each factor has a drawn rate.
        """
        rates = self._rng.random(len(self._granularity.factors)) ** 2
        way = [code]
        while True:
            smaller = self._give_way(way[-1], rates)
            if (smaller == way[-1]).all():
                return np.stack(way)
            way.append(smaller)

    def _give_way(self, code: Codes, rates: Floats) -> Codes:
        """`code` with one factor, drawn by `rates`, a step smaller; the smallest stays."""
        for factor in np.argsort(self._rng.exponential(size=len(rates)) / rates):
            smaller = self._granularity.contract(code, self._granularity.factors[factor])
            if (smaller != code).any():
                return smaller
        return code


def _build(brief: Brief) -> GenerationSearcher:
    history = History(brief)
    return GenerationSearcher(history, DownScaling(brief, history).generation)


SEARCHERS.register(
    SearcherEntry(
        name="down-scaling",
        description="Contract the largest architectures factor by factor, and keep the best.",
        paper="https://arxiv.org/abs/2207.10666",
        build=_build,
    )
)
