"""Pareto evolution whose children are screened by a surrogate: see `surrogates/model_based.py`.

The surrogate is bagged quadratic ridge: it is quick, and its uncertainty makes the search explore.
One set of children serves 4 asks. With thousands of evaluations no surrogate is needed, and the
searcher is `nsga2`.

Paper: NSGA-II, Deb et al. 2002, https://doi.org/10.1109/4235.996017 (ranks, crowding);
LINAS, Cummings et al. 2022, https://arxiv.org/abs/2205.10358 (a predictor in the loop)
"""

from __future__ import annotations

from nas.search.asking.history import History, SequentialSearcher
from nas.search.brief import Brief
from nas.search.protocol import Searcher
from nas.search.searchers.registry import SEARCHERS, SearcherEntry
from nas.search.surrogates.model_based import Effort, ModelBased
from nas.search.surrogates.ridge import RidgeEnsemble

_EFFORT = Effort(start=16, children=384, strangers=96, renew=4)
_MANY = 2000


def _build(brief: Brief) -> Searcher:
    if brief.evaluations is not None and brief.evaluations > _MANY:
        return SEARCHERS["nsga2"].build(brief)
    history = History(brief)
    model = ModelBased(brief, history, lambda _: RidgeEnsemble(history.rng), _EFFORT)
    return SequentialSearcher(history, model.next)


SEARCHERS.register(
    SearcherEntry(
        name="evolution",
        description="Pareto evolution without repeats, children screened by a surrogate.",
        paper="https://arxiv.org/abs/2205.10358",
        build=_build,
    )
)
