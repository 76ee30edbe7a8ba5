"""NNI's search algorithms, unchanged: see `nas/search/foreign/nni.py`.

Library: Neural Network Intelligence 3.0, https://github.com/microsoft/nni
"""

from __future__ import annotations

from nas.search.brief import Brief
from nas.search.foreign.nni import NniTool
from nas.search.foreign.tool import ForeignSearcher, number_of_constraints
from nas.search.searchers.registry import SEARCHERS, SearcherEntry


def _register(algorithm: str, description: str, paper: str) -> None:
    def build(brief: Brief) -> ForeignSearcher:
        constrained = number_of_constraints(brief) > 0
        tool = NniTool(brief.space, algorithm, seed=brief.seed, constrained=constrained)
        return ForeignSearcher(tool, brief, repeats=brief.may_repeat)

    SEARCHERS.register(
        SearcherEntry(
            name=f"nni-{algorithm}",
            description=description,
            paper=paper,
            build=build,
            package="nni",
            extra="nni",
        )
    )


_register("evolution", "NNI's regularized evolution.", "https://arxiv.org/abs/1802.01548")
_register(
    "tpe",
    "NNI's tree-structured Parzen estimator.",
    "https://papers.nips.cc/paper/4443-algorithms-for-hyper-parameter-optimization",
)
_register("random", "NNI's random search.", "https://arxiv.org/abs/1902.07638")
