"""Codes that fit the constraints and were not asked yet: every searcher draws from them.

They are looked for in this order, until one way finds some:

    samples of the space
    mutations of the feasible codes asked last
    evolution towards less violation of the constraints     (while nothing feasible is known)
    the list of all codes                                   (of a space of at most 100,000)

Every loop has a cap, so a budget that nothing meets gives an empty array and never hangs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from nas.search.protocol import Bools, Codes, CodeSpace, Constraints, Enumerable, Floats

ENUMERABLE = 100_000
_BATCH = 1024
_TRIES = 8
_GENERATIONS = 60


class Candidates:
    """Remembers the codes that were asked, and finds others."""

    def __init__(
        self, space: CodeSpace, rng: np.random.Generator, constraints: Constraints | None = None
    ) -> None:
        self._space = space
        self._rng = rng
        self._constraints = constraints
        self._asked: set[bytes] = set()
        self._buffer: list[Codes] = []
        self._recent: deque[Codes] = deque(maxlen=_BATCH)
        self._everything: Codes | None = None
        self._barren = False

    def feasible(self, codes: Codes) -> Bools:
        """Which codes are of the space and within every constraint: (n,)."""
        good: Bools = np.asarray(self._space.contains(codes), dtype=bool).copy()
        if self._constraints is not None and good.any():
            good[good] = violations(self._constraints, codes[good]) <= 0
        return good

    def fresh(self, codes: Codes) -> Codes:
        """Of these codes the feasible ones that were not asked, each once, in their order."""
        seen: set[bytes] = set()
        keep = []
        for row, key in enumerate(_keys(codes)):
            if key not in self._asked and key not in seen:
                seen.add(key)
                keep.append(row)
        codes = codes[keep]
        return codes[self.feasible(codes)] if len(codes) else codes

    def asked(self, code: Codes) -> bool:
        """Whether a code (genes,) was asked."""
        return code_key(code) in self._asked

    def mark(self, codes: Codes) -> None:
        """Remember that these were asked."""
        self._asked.update(_keys(codes))
        self._recent.extend(codes)

    def take(self, n: int) -> Codes:
        """Up to `n` fresh codes, drawn at random; fewer only when no more are found.

        They are marked as asked.
        """
        taken: list[Codes] = []
        while len(taken) < n:
            if not self._buffer:
                self._buffer = list(self._refill())
                if not self._buffer:
                    break
            code = self._buffer.pop()
            if not self.asked(code):
                self.mark(code[None])
                taken.append(code)
        return np.stack(taken) if taken else self.empty()

    def empty(self) -> Codes:
        """No codes at all: (0, genes)."""
        return np.empty((0, self._space.num_genes), dtype=np.int16)

    def _refill(self) -> Codes:
        """Fresh codes, by the first way that finds some."""
        if self._barren:
            return self.empty()
        if self._everything is None:
            for way in (self._by_sampling, self._by_mutation, self._by_descent):
                codes = way()
                if len(codes):
                    return codes
            if self._space.size() <= ENUMERABLE:
                self._everything = everything(self._space, self._rng)
        if self._everything is not None:
            codes = self.fresh(self._everything)
            self._everything = codes
            if len(codes):
                return codes[self._rng.permutation(len(codes))]
        self._barren = True
        return self.empty()

    def _by_sampling(self) -> Codes:
        for _ in range(_TRIES):
            codes = self.fresh(self._space.sample(_BATCH, self._rng))
            if len(codes):
                return codes
        return self.empty()

    def _by_mutation(self) -> Codes:
        if not self._recent:
            return self.empty()
        feasible = np.stack(self._recent)
        for _ in range(_TRIES):
            parents = feasible[self._rng.integers(len(feasible), size=_BATCH)]
            codes = self.fresh(self._space.mutate(parents, self._rng))
            if len(codes):
                return codes
        return self.empty()

    def _by_descent(self) -> Codes:
        constraints = self._constraints
        if constraints is None or self._recent:
            return self.empty()
        best = descend(
            self._space, lambda codes: violations(constraints, codes), self._rng, enough=0.0
        )
        return self.fresh(best)


def code_key(code: Codes) -> bytes:
    """A hashable key of a code (genes,), the same for every integer type."""
    return code.astype(np.int32).tobytes()


def violations(constraints: Constraints, codes: Codes) -> Floats:
    """Summed excess of each code over the constraints: (n,), 0 where feasible, inf for NaN."""
    values = np.asarray(constraints(codes), dtype=float).reshape(len(codes), -1)
    outside = np.where(np.isnan(values), np.inf, np.maximum(values, 0.0))
    total: Floats = outside.sum(axis=1)
    return total


def descend(
    space: CodeSpace,
    value: Callable[[Codes], Floats],
    rng: np.random.Generator,
    start: Codes | None = None,
    enough: float = -np.inf,
) -> Codes:
    """Evolve codes towards the least `value`; gives the best 64 found, best first.

    Args:
        space: Where the codes live.
        value: What to minimise, (n, genes) to (n,).
        rng: Source of randomness.
        start: Codes to begin with, in addition to 1,024 samples.
        enough: Stop when this value is reached.
    """
    codes = space.sample(_BATCH, rng)
    if start is not None and len(start):
        codes = np.concatenate([np.asarray(start, dtype=codes.dtype), codes])
    codes, values = _best(codes, value(codes))
    stale = 0
    for _ in range(_GENERATIONS):
        if values[0] <= enough or stale == 8:
            break
        first, second = codes[rng.integers(len(codes), size=(2, 256))]
        children = np.concatenate(
            [
                space.mutate(codes[rng.integers(len(codes), size=256)], rng),
                space.crossover(first, second, rng),
            ]
        )
        children = children[np.asarray(space.contains(children), dtype=bool)]
        before = values[0]
        codes, values = _best(
            np.concatenate([codes, children]), np.concatenate([values, value(children)])
        )
        stale = 0 if values[0] < before else stale + 1
    return codes


def everything(space: CodeSpace, rng: np.random.Generator) -> Codes:
    """Every code of a small space, or as many as sampling and mutation reach.

    A space that offers `enumerate()` is asked for its list. For others, distinct codes are
    gathered until there are `size()` of them, or until many draws in a row bring nothing new.
    """
    if isinstance(space, Enumerable):
        return space.enumerate()
    found: dict[bytes, Codes] = {}
    stale = 0
    while len(found) < space.size() and stale < 2 * _TRIES:
        before = len(found)
        codes = space.sample(_BATCH, rng)
        codes = np.concatenate([codes, space.mutate(codes, rng)])
        codes = codes[np.asarray(space.contains(codes), dtype=bool)]
        found.update(zip(_keys(codes), codes, strict=True))
        stale = 0 if len(found) > before else stale + 1
    return np.stack(list(found.values())) if found else space.sample(0, rng)


def nearest(every: Codes, codes: Codes, n: int) -> NDArray[np.int64]:
    """The rows of `every` (size, genes) that share the most genes with each code: (codes, n).

    A code's own row comes last; so it is among them only if `every` has no more than n rows.
    """
    n = min(n, len(every))
    found = np.empty((len(codes), n), dtype=np.int64)
    for i, code in enumerate(codes):
        apart = (every != code).sum(axis=1)
        apart[apart == 0] = len(code) + 1
        place = apart * len(every) + np.arange(len(every))  # among equals the first row
        near = np.argpartition(place, n - 1)[:n]
        found[i] = near[np.argsort(place[near])]
    return found


def _best(codes: Codes, values: Floats, keep: int = 64) -> tuple[Codes, Floats]:
    """The `keep` distinct codes with the least values, best first."""
    _, first = np.unique(codes, axis=0, return_index=True)
    order = first[np.argsort(values[first], kind="stable")][:keep]
    return codes[order], values[order]


def _keys(codes: Codes) -> list[bytes]:
    """One hashable key per code, the same for every integer type: see `code_key`."""
    rows = np.asarray(codes, dtype=np.int32)
    data, width = rows.tobytes(), rows.shape[1] * rows.itemsize
    return [data[start : start + width] for start in range(0, len(data), width)]
