"""Mix'n'Match: nested sizes combined along the depth by smooth, monotone schedules.

    size of a gene at depth t:   s(t) = s(0) + (s(1) - s(0)) t,   t from 0 to 1 within its role

    pool    s(0) and s(1) of every role are drawn (equal ones give a uniform submodel);
            the kinds (which mixer) come from the front or are drawn
    ask     the members of the pool near a latency that walks along the range
            --> the one with the least error, by the effects learnt so far

A size changes by at most one step between neighbouring blocks. The paper picks submodels of nested
weights in this way without having trained each of them. Here the evaluations decide on the kinds,
and between schedules of similar latency.

Paper: MatFormer, Devvrit et al. 2023, https://arxiv.org/abs/2310.07707 (Mix'n'Match)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nas.search.asking.history import History, SequentialSearcher
from nas.search.asking.listing import listed
from nas.search.asking.scales import Granularity, Scale
from nas.search.asking.variation import GOLDEN, Indices, by_rank
from nas.search.brief import Brief
from nas.search.protocol import Codes, Floats
from nas.search.searchers.registry import SEARCHERS, SearcherEntry
from nas.search.surrogates.effects import Effects

_POOL = 512
_NEAR = 0.1
"""This share of the pool counts as near a latency."""
_FEW = 64
_RENEW = 8
_LEAST_TOLD = 8
_PARENTS = 16


@dataclass(frozen=True)
class _Role:
    """The genes of one role, in the order of the network."""

    genes: Indices
    steepest: float
    """The largest difference between both ends for which neighbours differ by at most one step."""

    @property
    def depths(self) -> Floats:
        """The depth of each gene, from 0 to 1."""
        return np.linspace(0.0, 1.0, len(self.genes))


class MixAndMatch:
    """See the module."""

    def __init__(self, brief: Brief, history: History) -> None:
        self._space, self._history = brief.space, history
        self._granularity = Granularity(brief, history.rng)
        self._roles = _roles(self._granularity.scales)
        self._pool = history.candidates.empty()
        self._cost: Floats = np.empty(0)
        self._error: Floats = np.empty(0)
        self._asks = 0

    def next(self) -> Codes:
        """The next code to ask, none for a random one: (<= 1, genes)."""
        if self._asks % _RENEW == 0 or not len(self._pool):
            self._renew()
        self._asks += 1
        if not len(self._pool):
            return self._pool
        low, high = self._cost.min(), self._cost.max()
        wanted = low + (high - low) * (self._asks * GOLDEN % 1.0)
        near = np.argsort(np.abs(self._cost - wanted), kind="stable")
        near = near[: max(1, int(_NEAR * len(near)))]
        best = int(near[self._error[near].argmin()])
        code = self._pool[best : best + 1]
        self._pool = np.delete(self._pool, best, axis=0)
        self._cost = np.delete(self._cost, best)
        self._error = np.delete(self._error, best)
        return code

    def schedules(self, codes: Codes) -> Codes:
        """The codes with their sizes changed to schedules, one drawn for each: (n, genes)."""
        codes, rng = codes.copy(), self._history.rng
        for role in self._roles:
            first, last = rng.random((2, len(codes), 1))
            last = np.clip(last, first - role.steepest, first + role.steepest)
            shares = first + (last - first) * role.depths
            for gene, share in zip(role.genes.tolist(), shares.T, strict=True):
                codes[:, gene] = self._granularity.scales[gene].nearest(codes[:, gene], share)
        return codes

    def _renew(self) -> None:
        """Make a new pool: fresh schedules, and their mutations if there are few."""
        history, rng = self._history, self._history.rng
        codes = self._space.sample(_POOL, rng)
        if history.told >= _LEAST_TOLD:
            best = history.codes[by_rank(history.objectives)[:_PARENTS]]
            parents = best[rng.integers(len(best), size=_POOL // 2)]
            codes[: _POOL // 2] = self._space.mutate(parents, rng)
        smooth = self._granularity.canonical(listed(self._space, self.schedules(codes), rng))
        self._pool = history.candidates.fresh(smooth)
        if len(self._pool) < _FEW and len(smooth):
            nearly = self._space.mutate(smooth[rng.integers(len(smooth), size=_POOL)], rng)
            self._pool = history.candidates.fresh(np.concatenate([self._pool, nearly]))
        self._cost = self._granularity.cost(self._pool)
        self._error = self._errors(self._pool)

    def _errors(self, codes: Codes) -> Floats:
        """Predicted errors, (n,); random numbers while there are too few evaluations."""
        history, features = self._history, self._space.features
        if history.told < _LEAST_TOLD or not len(codes):
            return history.rng.random(len(codes))
        errors = history.objectives[:, 0]
        return Effects(features(history.codes), errors, history.rng).predict(features(codes))


def _roles(scales: Sequence[Scale]) -> list[_Role]:
    roles = []
    for role in dict.fromkeys(scale.role for scale in scales):
        genes = np.flatnonzero([scale.role == role for scale in scales])
        levels = max(np.ptp(scales[gene].levels) for gene in genes.tolist())
        roles.append(_Role(genes, (len(genes) - 1) / max(int(levels), 1)))
    return roles


def _build(brief: Brief) -> SequentialSearcher:
    history = History(brief)
    return SequentialSearcher(history, MixAndMatch(brief, history).next)


SEARCHERS.register(
    SearcherEntry(
        name="mix-and-match",
        description="Nested sizes along the depth by smooth schedules, over the latency range.",
        paper="https://arxiv.org/abs/2310.07707",
        build=_build,
    )
)
