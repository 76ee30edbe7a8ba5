"""Latency-driven slimming: make the largest architecture faster, change by change.

    random codes --> the effect of every choice on the error (`Effects`)
    path: the largest --> the change with the least importance / latency saved --> ...
          --> the fastest
    ask: members of the path at even steps of latency --> effects again --> another path

A change is another choice of one gene: one block fewer, a narrower stage, another mixer.

    importance    = error after - error before, by the effects
    latency saved = latency before - latency after, exact where latency is known

The effects of each path are fitted to a bootstrap of the evaluations, so that paths differ in
uncertain effects. The paper learns importances as Gumbel weights during training; here they
come from evaluations, so the searcher needs no gradients.

Paper: EfficientFormer, Li et al. 2022, https://arxiv.org/abs/2206.01191 (Section 3.3, Algorithm 1)
"""

from __future__ import annotations

import numpy as np

from nas.search.asking.history import GenerationSearcher, History
from nas.search.asking.scales import Granularity
from nas.search.brief import Brief
from nas.search.protocol import Codes
from nas.search.searchers.registry import SEARCHERS, SearcherEntry
from nas.search.surrogates.effects import Effects

_START = (8, 64)
"""An eighth of the evaluations are random, before the first path; at least 8 and at most 64."""
_ASKS = 8
_PATHS = 4
_STEPS = 1000


class LatencySlimming:
    """See the module."""

    def __init__(self, brief: Brief, history: History) -> None:
        self._space, self._history = brief.space, history
        self._granularity = Granularity(brief, history.rng)
        least, most = _START
        self._start = int(np.clip((brief.evaluations or 0) // 8, least, most))

    def generation(self) -> Codes:
        """The codes to ask next, none for a random one: (<= 8, genes)."""
        history = self._history
        if history.asked < self._start or history.told < 2:
            return history.candidates.empty()
        for _ in range(_PATHS):
            path = self.path(self._granularity.largest())
            fresh = history.candidates.fresh(path)
            if len(fresh):
                return self._spread(fresh)
        mutants = self._space.mutate(np.repeat(path, _PATHS, axis=0), history.rng)
        return self._spread(history.candidates.fresh(mutants))

    def path(self, code: Codes) -> Codes:
        """From `code` (genes,) to the fastest, one change after the other: (k, genes)."""
        features, history = self._space.features, self._history
        effects = Effects(features(history.codes), history.objectives[:, 0], history.rng)
        cost = float(self._granularity.cost(code[None])[0])
        path = [code]
        for _ in range(_STEPS):
            changes = self._granularity.changes(path[-1])
            costs = self._granularity.cost(changes)
            changes, costs = changes[costs < cost], costs[costs < cost]
            if not len(changes):
                break
            errors = effects.predict(features(np.concatenate([path[-1][None], changes])))
            best = int(((errors[1:] - errors[0]) / (cost - costs)).argmin())
            path.append(changes[best])
            cost = float(costs[best])
        return np.stack(path)

    def _spread(self, codes: Codes) -> Codes:
        """At most eight of `codes`, at even steps of latency, both ends included."""
        cost = self._granularity.cost(codes)
        if not len(codes):
            return codes
        wanted = np.linspace(cost.min(), cost.max(), _ASKS)
        nearest = np.unique(np.abs(cost[:, None] - wanted).argmin(axis=0))
        spread: Codes = codes[self._history.rng.permutation(nearest)]
        return spread


def _build(brief: Brief) -> GenerationSearcher:
    history = History(brief)
    return GenerationSearcher(history, LatencySlimming(brief, history).generation)


SEARCHERS.register(
    SearcherEntry(
        name="latency-slimming",
        description="Make the largest faster by the changes that cost the least error.",
        paper="https://arxiv.org/abs/2206.01191",
        build=_build,
    )
)
