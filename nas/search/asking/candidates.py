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

import numpy as np

from nas.search.asking.descent import descend
from nas.search.asking.listing import ENUMERABLE, code_key, everything
from nas.search.protocol import Bools, Codes, CodeSpace, Constraints, Floats

_BATCH = 1024
_TRIES = 8


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
        """The feasible ones of these codes that were not asked, each once, in their order."""
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


def violations(constraints: Constraints, codes: Codes) -> Floats:
    """Summed excess of each code over the constraints: (n,), 0 where feasible, inf for NaN."""
    values = np.asarray(constraints(codes), dtype=float).reshape(len(codes), -1)
    outside = np.where(np.isnan(values), np.inf, np.maximum(values, 0.0))
    total: Floats = outside.sum(axis=1)
    return total


def _keys(codes: Codes) -> list[bytes]:
    """One hashable key per code, the same for every integer type: see `code_key`."""
    rows = np.asarray(codes, dtype=np.int32)
    data, width = rows.tobytes(), rows.shape[1] * rows.itemsize
    return [data[start : start + width] for start in range(0, len(data), width)]
