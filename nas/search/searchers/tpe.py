"""TPE: Optuna's tree-structured Parzen estimator, made to keep the promises of a searcher.

    Optuna proposes --> fresh? asked
                    --> infeasible, or asked before? told so to Optuna, and it proposes again
                    --> after a few of those: a random code

Optuna draws genes from the ratio of two densities, of good values and of the others; close to the
optimum it repeats itself, and it knows no constraint before it has broken it.

Papers: Bergstra et al. 2011, https://papers.nips.cc/paper/4443; with several objectives, Ozaki et
al. 2020, https://doi.org/10.1145/3377930.3389817; as built, Watanabe 2023,
https://arxiv.org/abs/2304.11127
"""

from __future__ import annotations

from nas.search.brief import Brief
from nas.search.protocol import Searcher
from nas.search.searchers.registry import SearcherEntry, register

_TRIES = 4
"""How often Optuna is asked again for one evaluation."""


def _build(brief: Brief) -> Searcher:
    from nas.search.foreign.optuna import OptunaTool
    from nas.search.foreign.tool import ForeignSearcher, cardinalities_of

    tool = OptunaTool(cardinalities_of(brief.space), "tpe", seed=brief.seed, joint=True)
    return ForeignSearcher(tool, brief, repeats=False, tries=_TRIES)


register(
    SearcherEntry(
        name="tpe",
        description="Optuna's tree-structured Parzen estimator, without its repeats.",
        paper="https://arxiv.org/abs/2304.11127",
        needs="evaluations",
        build=_build,
    )
)
