"""The searchers by name, and how to make one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from nas.errors import unknown_name
from nas.search.protocol import Cheap, CodeSpace, Constraints, Searcher


class Build(Protocol):
    """What makes a searcher; every registered one takes the same arguments."""

    def __call__(
        self,
        space: CodeSpace,
        *,
        seed: int,
        constraints: Constraints | None,
        cheap: Cheap | None,
        supernet: object | None,
    ) -> Searcher:
        """A searcher at its start."""
        ...


@dataclass(frozen=True)
class SearcherEntry:
    """A registered searcher, as `nas searchers` lists it."""

    name: str
    description: str
    paper: str
    needs: str
    """What it learns from: "evaluations", or "supernet" for one that takes gradients."""
    build: Build


SEARCHERS: dict[str, SearcherEntry] = {}


def register(entry: SearcherEntry) -> None:
    """Make a searcher known by its name."""
    assert entry.name not in SEARCHERS, entry.name
    SEARCHERS[entry.name] = entry


def make_searcher(
    name: str,
    space: CodeSpace,
    *,
    seed: int,
    constraints: Constraints | None = None,
    supernet: object | None = None,
    cheap: Cheap | None = None,
) -> Searcher:
    """The searcher called `name`, at its start.

    Args:
        name: One of `SEARCHERS`.
        space: Where its codes come from.
        seed: With the asks and tells, all that its choices depend on.
        constraints: Codes to (n, k), feasible where <= 0; nothing else is asked.
        supernet: For searchers that take gradients; the others ignore it.
        cheap: All objectives but the first, exactly, for codes not evaluated yet: a searcher
            that screens by a surrogate then need not learn them.

    Raises:
        UnknownNameError: there is no such searcher.
    """
    if name not in SEARCHERS:
        raise unknown_name("searcher", name, SEARCHERS, hint="See `nas searchers`.")
    return SEARCHERS[name].build(
        space, seed=seed, constraints=constraints, cheap=cheap, supernet=supernet
    )
