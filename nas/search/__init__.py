"""Step 4: find the architectures with the best trade-offs, evaluating as few as possible.

    problem ---> brief ---> searcher <--- ask, tell ---> engine ---> evaluations, front
    (space, budgets,        (searchers/, one file each)
     evaluation)

Searchers share: `asking/` (history and fresh codes), `surrogates/` (models of the error),
`gradients/` (of the supernet's loss), `foreign/` (search tools of other projects).
"""

from __future__ import annotations

from nas.search.brief import Brief
from nas.search.searchers.registry import SEARCHERS, SearcherEntry, make_searcher

__all__ = ["SEARCHERS", "Brief", "SearcherEntry", "make_searcher"]
