"""`nas searchers`: the algorithms that can search."""

from __future__ import annotations

from nas.cli import options


def searchers(json: options.Json = False) -> None:
    """List the algorithms that `--searcher` knows.

    Example: nas searchers
    """
    from nas.cli.console import show_json, show_table
    from nas.search.searchers import SEARCHERS

    entries = [SEARCHERS[name] for name in sorted(SEARCHERS)]
    if json:
        show_json(
            [
                {
                    "name": entry.name,
                    "description": entry.description,
                    "learns_from": entry.needs,
                    "paper": entry.paper,
                }
                for entry in entries
            ]
        )
    else:
        rows = [(e.name, f"{e.description}\n{e.paper}", e.needs) for e in entries]
        show_table("Searchers", ("name", "what it does", "learns from"), rows)
