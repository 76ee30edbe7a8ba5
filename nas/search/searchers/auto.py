"""The default: the searcher that fits the number of evaluations.

    evaluations   searcher
    <= 1,000      Bayesian search, its surrogate chosen by cross-validation as results come in
    more          evolution: a model of all evaluations would take more time than it saves

If the number of evaluations is not known, it is assumed to be small.
"""

from __future__ import annotations

from nas.search.asking.history import History, SequentialSearcher
from nas.search.brief import Brief
from nas.search.protocol import Searcher
from nas.search.searchers.bayes import EFFORT
from nas.search.searchers.registry import SEARCHERS, SearcherEntry
from nas.search.surrogates.adaptive import AdaptiveSurrogate
from nas.search.surrogates.features import Groups
from nas.search.surrogates.kinds import kinds_of
from nas.search.surrogates.model_based import ModelBased

FEW = 1000


def _build(brief: Brief) -> Searcher:
    if brief.evaluations is not None and brief.evaluations > FEW:
        return SEARCHERS["evolution"].build(brief)
    history = History(brief)

    def surrogate(groups: Groups) -> AdaptiveSurrogate:
        return AdaptiveSurrogate(kinds_of(groups), history.rng)

    return SequentialSearcher(history, ModelBased(brief, history, surrogate, EFFORT).next)


SEARCHERS.register(
    SearcherEntry(
        name="auto",
        description="Bayesian search with the surrogate that ranks best; evolution beyond 1,000.",
        paper="https://arxiv.org/abs/2104.01177",
        build=_build,
    )
)
