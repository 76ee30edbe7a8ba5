"""Pareto evolution, its children screened by a surrogate: see `model_based`.

The surrogate is bagged quadratic ridge: quick, and unsure enough to explore. One brood of children
serves 4 asks. Who can evaluate thousands of times needs no surrogate: the search is `nsga2` then.

Paper: NSGA-II, Deb et al. 2002, https://doi.org/10.1109/4235.996017 (ranks, crowding);
LINAS, Cummings et al. 2022, https://arxiv.org/abs/2205.10358 (a predictor in the loop)
"""

from __future__ import annotations

from nas.search.asking.history import History, SequentialSearcher
from nas.search.brief import Brief
from nas.search.protocol import Searcher
from nas.search.searchers.registry import SEARCHERS, SearcherEntry, register
from nas.search.surrogates import RidgeEnsemble
from nas.search.surrogates.model_based import Effort, ModelBased

_EFFORT = Effort(start=16, children=384, strangers=96, renew=4)
_MANY = 2000


def _build(brief: Brief) -> Searcher:
    if brief.evaluations is not None and brief.evaluations > _MANY:
        return SEARCHERS["nsga2"].build(brief)
    history = History(brief)
    model = ModelBased(brief, history, lambda _: RidgeEnsemble(history.rng), _EFFORT)
    return SequentialSearcher(history, model.next)


register(
    SearcherEntry(
        name="evolution",
        description="Pareto evolution without repeats, children screened by a surrogate.",
        paper="https://arxiv.org/abs/2205.10358",
        needs="evaluations",
        build=_build,
    )
)
