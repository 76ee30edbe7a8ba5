"""The default: the searcher that fits the number of evaluations.

    evaluations   searcher
    <= 1,000      Bayesian search, its surrogate chosen by cross-validation as results come in
    more          evolution: a model of everything that was told would cost more than it saves

Where it is not said how many there will be, few are assumed.
"""

from __future__ import annotations

from nas.search.brief import Brief
from nas.search.history import History, SequentialSearcher
from nas.search.model_based import ModelBased
from nas.search.protocol import Searcher
from nas.search.searchers.bayes import EFFORT
from nas.search.searchers.registry import SEARCHERS, SearcherEntry, register
from nas.search.surrogates import AdaptiveSurrogate
from nas.search.surrogates.kinds import kinds_of

FEW = 1000


def _build(brief: Brief) -> Searcher:
    if brief.evaluations is not None and brief.evaluations > FEW:
        return SEARCHERS["evolution"].build(brief)
    history = History(brief)
    kinds = kinds_of(brief.space, history.rng)
    model = ModelBased(brief, history, lambda: AdaptiveSurrogate(kinds, history.rng), EFFORT)
    return SequentialSearcher(history, model.next)


register(
    SearcherEntry(
        name="auto",
        description="Bayesian search with the surrogate that ranks best; evolution beyond 1,000.",
        paper="https://arxiv.org/abs/2104.01177",
        needs="evaluations",
        build=_build,
    )
)
