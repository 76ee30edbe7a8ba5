"""Searchers, one file each; importing this package registers every file in it."""

from __future__ import annotations

import importlib
import pkgutil

from nas.search.searchers.registry import SEARCHERS, SearcherEntry, make_searcher, register

for _module in sorted(m.name for m in pkgutil.iter_modules(__path__)):
    importlib.import_module(f"{__name__}.{_module}")

__all__ = ["SEARCHERS", "SearcherEntry", "make_searcher", "register"]
