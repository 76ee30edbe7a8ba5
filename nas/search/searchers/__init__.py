"""Searchers, one file each. `registry.SEARCHERS` finds every file in this package."""
