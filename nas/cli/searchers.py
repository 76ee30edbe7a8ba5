"""`nas searchers`: the algorithms that can search."""

from __future__ import annotations

from nas.cli import options


def searchers(json: options.Json = False) -> None:
    """List the algorithms that `--searcher` knows.

    Example: nas searchers
    """
    from nas.cli.console import show_json, show_table
    from nas.search.searchers.registry import SEARCHERS

    if json:
        show_json(
            [
                {
                    "name": entry.name,
                    "description": entry.description,
                    "learns_from": entry.needs,
                    "paper": entry.paper,
                    "extra": entry.extra,
                }
                for entry in SEARCHERS
            ]
        )
        return
    rows = [
        (
            entry.name,
            f"{entry.description}\n{entry.paper}",
            entry.needs + (f"\nextra: {entry.extra}" if entry.extra else ""),
        )
        for entry in SEARCHERS
    ]
    show_table("Searchers", ("name", "what it does", "learns from"), rows)
