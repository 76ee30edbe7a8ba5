"""Codes that were not asked yet and that fit the constraints: what every searcher draws from.

Each loop has a cap, so a budget that nothing meets ends in an empty array, never in a hang:

    sample -> still nothing: mutate the feasible ones seen -> descend the violation
           -> a space of at most 100,000: list all of it -> empty
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
    """Memory of what was asked, and a source of what was not."""

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
        """The codes that may be asked: each once, feasible, not asked before, in their order."""
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
        return code.astype(np.int32).tobytes() in self._asked

    def mark(self, codes: Codes) -> None:
        """Remember that these were asked."""
        self._asked.update(_keys(codes))
        self._recent.extend(codes)

    def take(self, n: int) -> Codes:
        """Up to `n` fresh codes, as the space samples them; fewer only when no more are found.

        They count as asked from then on.
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
        """Fresh codes, by the first way that finds any."""
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


def violations(constraints: Constraints, codes: Codes) -> Floats:
    """How far each code is outside the constraints, summed: (n,), 0 where feasible, NaN as inf."""
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
    """Evolve codes towards the least `value`; the best 64 found, best first.

    Args:
        space: Where the codes live.
        value: What to minimise, (n, genes) to (n,).
        rng: Source of randomness.
        start: Codes to begin with, beside 1,024 samples.
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

    A space that offers `enumerate()` lists itself. Otherwise distinct codes are gathered until
    their number is `size()`, or until many draws in a row bring nothing new.
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

    All of them where there are not so many, and a code's own row only then.
    """
    n = min(n, len(every))
    found = np.empty((len(codes), n), dtype=np.int64)
    for i, code in enumerate(codes):
        apart = (every != code).sum(axis=1)
        apart[apart == 0] = len(code) + 1
        place = apart * len(every) + np.arange(len(every))  # of equal ones the first
        near = np.argpartition(place, n - 1)[:n]
        found[i] = near[np.argsort(place[near])]
    return found


def _best(codes: Codes, values: Floats, keep: int = 64) -> tuple[Codes, Floats]:
    """The `keep` distinct codes with the least values, best first."""
    _, first = np.unique(codes, axis=0, return_index=True)
    order = first[np.argsort(values[first], kind="stable")][:keep]
    return codes[order], values[order]


def _keys(codes: Codes) -> list[bytes]:
    """One hashable key per code, the same for every integer type."""
    rows = np.asarray(codes, dtype=np.int32)
    data, width = rows.tobytes(), rows.shape[1] * rows.itemsize
    return [data[start : start + width] for start in range(0, len(data), width)]
