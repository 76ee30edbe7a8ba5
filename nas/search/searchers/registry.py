"""The searchers by name, and how to make one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nas.errors import unknown_name
from nas.search.brief import Brief
from nas.search.protocol import Answers, Cheap, CodeSpace, Constraints, Searcher


@dataclass(frozen=True)
class SearcherEntry:
    """A registered searcher, as `nas searchers` lists it."""

    name: str
    description: str
    paper: str
    needs: str
    """What it learns from: "evaluations", or "supernet" for one that takes gradients."""
    build: Callable[[Brief], Searcher]


SEARCHERS: dict[str, SearcherEntry] = {}


def register(entry: SearcherEntry) -> None:
    """Make a searcher known by its name."""
    assert entry.name not in SEARCHERS, entry.name
    SEARCHERS[entry.name] = entry


def entry_of(name: str) -> SearcherEntry:
    """The searcher called `name`: one of ours, or of a foreign tool that is kept to our promises.

    Raises:
        UnknownNameError: there is none.
        MissingExtraError: the foreign tool is not installed.
    """
    if name in SEARCHERS:
        return SEARCHERS[name]
    from nas.search.foreign.entries import PEERS, check_installed, make_peer

    if name not in PEERS:
        raise unknown_name("searcher", name, SEARCHERS, hint="See `nas searchers`.")
    peer = PEERS[name]
    check_installed(peer)
    return SearcherEntry(
        name,
        peer.description,
        peer.paper,
        needs="evaluations",
        build=lambda brief: make_peer(name, brief, repeats=False),
    )


def make_searcher(
    name: str,
    space: CodeSpace,
    *,
    seed: int,
    constraints: Constraints | None = None,
    supernet: object | None = None,
    cheap: Cheap | None = None,
    answers: Answers | None = None,
    evaluations: int | None = None,
) -> Searcher:
    """The searcher called `name`, at its start.

    Args:
        name: One of `SEARCHERS`.
        space: Where its codes come from.
        seed: With the asks and tells, all that its choices depend on.
        constraints: Codes to (n, k), feasible where <= 0; nothing else is asked.
        supernet: The `Lessons` of searchers that take gradients; the others ignore it.
        cheap: All objectives but the first, exactly, for codes not evaluated yet: a searcher
            that screens by a surrogate then need not learn them.
        answers: Codes to (n, a), one column for each of several questions, such as budgets, that
            are to be answered; a code can answer those where it is <= 0.
        evaluations: How many will be made in all, where that is known.

    Raises:
        UnknownNameError: there is no such searcher.
    """
    brief = Brief(space, seed, constraints, cheap, answers, evaluations, supernet)
    return entry_of(name).build(brief)
