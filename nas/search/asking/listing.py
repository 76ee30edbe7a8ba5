"""The codes of a space that is small enough to list, and the nearest of them to any code."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nas.search.protocol import Codes, CodeSpace, Enumerable

ENUMERABLE = 100_000
"""Spaces of at most this size are listed."""
_BATCH = 1024
_STALE = 16
_NEAREST = 16


def everything(space: CodeSpace, rng: np.random.Generator) -> Codes:
    """Every code of a small space, or as many as sampling and mutation reach.

    A space that offers `enumerate()` is asked for its list. For others, distinct codes are
    gathered until there are `size()` of them, or until many draws in a row bring nothing new.
    """
    if isinstance(space, Enumerable):
        return space.enumerate()
    found: dict[bytes, Codes] = {}
    stale = 0
    while len(found) < space.size() and stale < _STALE:
        before = len(found)
        codes = space.sample(_BATCH, rng)
        codes = np.concatenate([codes, space.mutate(codes, rng)])
        codes = codes[np.asarray(space.contains(codes), dtype=bool)]
        found.update((code_key(code), code) for code in codes)
        stale = 0 if len(found) > before else stale + 1
    return np.stack(list(found.values())) if found else space.sample(0, rng)


def nearest(every: Codes, codes: Codes, n: int) -> NDArray[np.int64]:
    """The rows of `every` (size, genes) that share the most genes with each code: (codes, n).

    A code's own row comes last, so it is included only if `every` has no more than n rows.
    """
    n = min(n, len(every))
    found = np.empty((len(codes), n), dtype=np.int64)
    for i, code in enumerate(codes):
        apart = (every != code).sum(axis=1)
        apart[apart == 0] = len(code) + 1
        place = apart * len(every) + np.arange(len(every))  # the first row among equals
        near = np.argpartition(place, n - 1)[:n]
        found[i] = near[np.argsort(place[near])]
    return found


def listed(space: CodeSpace, codes: Codes, rng: np.random.Generator) -> Codes:
    """The codes; in a listed space, codes that it does not have become near ones: (n, genes).

    In a sparse table, few rows differ from another row in only one gene.
    """
    outside = np.flatnonzero(~np.asarray(space.contains(codes), dtype=bool))
    if not len(outside) or not isinstance(space, Enumerable):
        return codes
    every = space.enumerate()
    rows = nearest(every, codes[outside], _NEAREST)
    codes = codes.copy()
    codes[outside] = every[rng.permuted(rows, axis=1)[:, 0]]
    return codes


def code_key(code: Codes) -> bytes:
    """A hashable key of a code (genes,), the same for every integer type."""
    return code.astype(np.int32).tobytes()
