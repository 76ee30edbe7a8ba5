"""Step 4: find the architectures with the best trade-offs, evaluating as few as possible."""

from __future__ import annotations

from nas.search.searchers import SEARCHERS, make_searcher

__all__ = ["SEARCHERS", "make_searcher"]
