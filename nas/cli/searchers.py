"""`nas searchers`: the algorithms that can search."""

from __future__ import annotations

from nas.cli import options


def searchers(json: options.Json = False) -> None:
    """List the algorithms that `--searcher` knows.

    Example: nas searchers
    """
    from nas.cli.console import show_json, show_table
    from nas.search.foreign.entries import PEERS
    from nas.search.searchers import SEARCHERS

    ours = [
        (e.name, e.description, e.needs, e.paper, None)
        for e in sorted(SEARCHERS.values(), key=lambda e: e.name)
    ]
    foreign = [(p.name, p.description, "evaluations", p.paper, p.extra) for p in PEERS.values()]
    if json:
        fields = ("name", "description", "learns_from", "paper", "extra")
        show_json([dict(zip(fields, entry, strict=True)) for entry in (*ours, *foreign)])
        return
    rows = [
        (name, f"{description}\n{paper}", needs + (f"\nextra: {extra}" if extra else ""))
        for name, description, needs, paper, extra in (*ours, *foreign)
    ]
    show_table("Searchers", ("name", "what it does", "learns from"), rows)
