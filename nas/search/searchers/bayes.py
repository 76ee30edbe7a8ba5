"""Bayesian search: a Gaussian process of the error, and the largest expected improvement.

See `surrogates/model_based.py` for the loop and `surrogates/gaussian_process.py` for the model.
Every ask is decided anew, with all evaluations so far.

Papers: Jones et al. 1998, https://doi.org/10.1023/A:1008306431147; for architectures, BANANAS,
White et al. 2021, https://arxiv.org/abs/1910.11858; with a known latency, Emmerich et al. 2011,
https://doi.org/10.1109/CEC.2011.5949880
"""

from __future__ import annotations

from nas.search.asking.history import History, SequentialSearcher
from nas.search.brief import Brief
from nas.search.searchers.registry import SEARCHERS, SearcherEntry
from nas.search.surrogates.gaussian_process import GaussianProcess
from nas.search.surrogates.model_based import Effort, ModelBased

EFFORT = Effort(start=8, children=768, strangers=2048, renew=1)


def _build(brief: Brief) -> SequentialSearcher:
    history = History(brief)
    model = ModelBased(brief, history, GaussianProcess, EFFORT)
    return SequentialSearcher(history, model.next)


SEARCHERS.register(
    SearcherEntry(
        name="bayes",
        description="A Gaussian process and expected improvement, decided anew for every ask.",
        paper="https://arxiv.org/abs/1910.11858",
        build=_build,
    )
)
