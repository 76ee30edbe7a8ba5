"""Random search: feasible architectures as the space samples them, none twice.

The baseline that every searcher has to beat. Paper: Li and Talwalkar 2019,
https://arxiv.org/abs/1902.07638
"""

from __future__ import annotations

from nas.search.asking.history import History, SequentialSearcher
from nas.search.brief import Brief
from nas.search.searchers.registry import SEARCHERS, SearcherEntry


def _build(brief: Brief) -> SequentialSearcher:
    history = History(brief)
    return SequentialSearcher(history, history.candidates.empty)


SEARCHERS.register(
    SearcherEntry(
        name="random",
        description="Feasible architectures as the space samples them, none twice.",
        paper="https://arxiv.org/abs/1902.07638",
        build=_build,
    )
)
