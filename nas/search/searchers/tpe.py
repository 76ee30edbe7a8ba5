"""TPE: Optuna's tree-structured Parzen estimator, without its repeats.

    Optuna proposes --> fresh and feasible?  asked
                    --> otherwise            reported to Optuna, which proposes again
                    --> after a few tries    a random code is asked

Optuna draws genes from the ratio of two densities, one of good codes and one of the others. Close
to the optimum it proposes the same codes again, and it learns of a constraint only by breaking it.

Papers: Bergstra et al. 2011, https://papers.nips.cc/paper/4443; with several objectives, Ozaki et
al. 2020, https://doi.org/10.1145/3377930.3389817; as built, Watanabe 2023,
https://arxiv.org/abs/2304.11127
"""

from __future__ import annotations

from nas.search.brief import Brief
from nas.search.foreign.optuna import OptunaTool
from nas.search.foreign.tool import ForeignSearcher, cardinalities_of
from nas.search.searchers.registry import SEARCHERS, SearcherEntry

_TRIES = 4
"""Number of further proposals for one evaluation."""


def _build(brief: Brief) -> ForeignSearcher:
    tool = OptunaTool(cardinalities_of(brief.space), "tpe", seed=brief.seed, joint=True)
    return ForeignSearcher(tool, brief, repeats=False, tries=_TRIES)


SEARCHERS.register(
    SearcherEntry(
        name="tpe",
        description="Optuna's tree-structured Parzen estimator, without its repeats.",
        paper="https://arxiv.org/abs/2304.11127",
        build=_build,
    )
)
