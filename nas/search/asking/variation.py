"""Ranks, tournaments and children, for searchers with a population.

    places       order by front number, then by crowding within the front; 0 is the best
    tournament   a few members are drawn, and the one with the best place wins
    children     two winners are crossed over, then mutated to a neighbour

Paper: NSGA-II, Deb et al. 2002, https://doi.org/10.1109/4235.996017 (Sections III-A to III-C)
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nas.search.asking.candidates import Candidates
from nas.search.asking.listing import listed
from nas.search.front import crowding, ranks
from nas.search.protocol import Codes, CodeSpace, Floats

Indices: TypeAlias = NDArray[np.integer[Any]]

CROSSED = 0.9
"""Share of children with two parents, as in the paper."""
MUTATED = 0.5
"""Share of the children of two parents that are also mutated; those of one parent always are."""
GOLDEN = 0.5 * (np.sqrt(5) - 1)
"""The golden ratio's fraction: any number of its multiples, modulo 1, is spread evenly."""
_TRIES = 4


def by_rank(objectives: Floats) -> Indices:
    """Rows ordered by front, and within a front by crowding, the least crowded first: (n,).

    With one objective this is the order of its values.
    """
    front = ranks(objectives)
    spread = crowding(objectives, front)
    order: Indices = np.lexsort((-spread, front))
    return order


def tournament(places: Indices, n: int, size: int, rng: np.random.Generator) -> Indices:
    """The winners of `n` tournaments between `size` members each, drawn with replacement: (n,).

    Args:
        places: The place of each member, 0 the best.
        n: Number of tournaments.
        size: Number of members in each.
        rng: Source of randomness.
    """
    drawn = rng.integers(len(places), size=(n, size))
    winners: Indices = drawn[np.arange(n), places[drawn].argmin(axis=1)]
    return winners


def places_of(order: Indices) -> Indices:
    """The place of each member, given the order of all: (n,)."""
    places = np.empty(len(order), dtype=np.int64)
    places[order] = np.arange(len(order))
    return places


def children(space: CodeSpace, ranked: Codes, n: int, rng: np.random.Generator) -> Codes:
    """Children of parents chosen by binary tournaments: (n, genes); some may be known codes.

    Args:
        space: The space of the codes.
        ranked: The population, best first.
        n: Number of children.
        rng: Source of randomness.
    """
    places = np.arange(len(ranked))
    first, second = ranked[tournament(places, 2 * n, 2, rng)].reshape(2, n, -1)
    crossed = rng.random(n) < CROSSED
    codes = np.where(crossed[:, None], space.crossover(first, second, rng), first)
    mutated = ~crossed | (rng.random(n) < MUTATED)
    return np.where(mutated[:, None], space.mutate(codes, rng), codes).astype(ranked.dtype)


def fresh_children(
    space: CodeSpace, candidates: Candidates, ranked: Codes, n: int, rng: np.random.Generator
) -> Codes:
    """Children that may be asked; others are replaced by further ones: (<= n, genes)."""
    fresh = candidates.empty()
    for _ in range(_TRIES):
        more = listed(space, children(space, ranked, n, rng), rng)
        fresh = candidates.fresh(np.concatenate([fresh, more]))[:n]
        if len(fresh) == n:
            break
    return fresh


def fresh_mutant(
    space: CodeSpace, candidates: Candidates, parent: Codes, rng: np.random.Generator
) -> Codes:
    """A mutation of `parent` (genes,) that may be asked, or none: (<= 1, genes)."""
    for tries in (1, 8, 64):
        mutants = space.mutate(np.repeat(parent[None], tries, axis=0), rng)
        fresh = candidates.fresh(listed(space, mutants, rng))
        if len(fresh):
            return fresh[:1]
    return candidates.empty()
