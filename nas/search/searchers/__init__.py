"""Searchers, one per file; importing a file registers its searcher."""

from __future__ import annotations

from nas.search.searchers import evolution, random
from nas.search.searchers.registry import SEARCHERS, SearcherEntry, make_searcher, register

__all__ = ["SEARCHERS", "SearcherEntry", "evolution", "make_searcher", "random", "register"]
