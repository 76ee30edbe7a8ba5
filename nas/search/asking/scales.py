"""The size of each choice of each gene, for searchers that make architectures smaller or larger.

    kind     choices that differ only in size, such as the windows of one attention
    level    size of a choice within its kind
    factor   genes that are scaled together, such as the mixers of a stage

An `Ordered` space defines all three. In any other space each gene is a factor of its own with one
kind; its choices are ordered by the mean cost of codes that have them, or by number if no cost is
known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.search.asking.listing import nearest
from nas.search.brief import Brief
from nas.search.protocol import Categorical, Codes, Enumerable, Floats, Ordered

_SAMPLES = 1024
_NEAREST = 64


@dataclass(frozen=True)
class Scale:
    """One gene: its factor and role, and the kind and level of each choice (cardinality,)."""

    factor: str
    role: str
    kinds: NDArray[np.int64]
    levels: NDArray[np.int64]

    @cached_property
    def shares(self) -> Floats:
        """The size of each choice within its kind, from 0 to 1: (cardinality,); 1 if alone."""
        shares = np.ones(len(self.levels))
        for kind in np.unique(self.kinds):
            of_kind = self.kinds == kind
            levels = self.levels[of_kind]
            if np.ptp(levels):
                shares[of_kind] = (levels - levels.min()) / np.ptp(levels)
        return shares

    @cached_property
    def smaller(self) -> tuple[NDArray[np.int64], ...]:
        """For each choice the next smaller ones of its kind; none for the smallest."""
        return tuple(self._next_smaller(choice) for choice in range(len(self.levels)))

    def nearest(self, choices: Codes, shares: Floats) -> NDArray[np.int64]:
        """The choices of the same kinds as `choices` (n,) nearest to the sizes `shares`: (n,).

        Among equally near ones, the present choice stays.
        """
        away = np.abs(self.shares - shares[:, None])
        away += 2.0 * (self.kinds != self.kinds[choices][:, None])
        away[np.arange(len(choices)), choices] -= 1e-9
        nearest: NDArray[np.int64] = away.argmin(axis=1)
        return nearest

    def _next_smaller(self, choice: int) -> NDArray[np.int64]:
        of_kind = self.kinds == self.kinds[choice]
        below = np.flatnonzero(of_kind & (self.levels < self.levels[choice]))
        nearest: NDArray[np.int64] = below[
            self.levels[below] == self.levels[below].max(initial=-1)
        ]
        return nearest


class Granularity:
    """The scales of a space, and the steps along them."""

    def __init__(self, brief: Brief, rng: np.random.Generator) -> None:
        self._space, self._known, self._rng = brief.space, brief.known_objectives, rng
        self._every = brief.space.enumerate() if isinstance(brief.space, Enumerable) else None
        self._ordered = brief.space if isinstance(brief.space, Ordered) else None
        self.scales = _scales(brief, rng)
        self.factors = list(dict.fromkeys(scale.factor for scale in self.scales))
        every = [(i, c) for i, scale in enumerate(self.scales) for c in range(len(scale.levels))]
        self._choices = np.array(every).T  # (2, choices of all genes)

    def cost(self, codes: Codes) -> Floats:
        """The first known objective, or the size if there is none: (n,)."""
        if self._known is not None:
            known = np.asarray(self._known(codes), dtype=float)
            if known.shape[1]:
                first: Floats = known[:, 0]
                return first
        return self.size(codes)

    def size(self, codes: Codes) -> Floats:
        """The mean size of the choices, from 0 to 1: (n,)."""
        shares = [scale.shares[codes[:, i]] for i, scale in enumerate(self.scales)]
        size: Floats = np.mean(shares, axis=0)
        return size

    def largest(self) -> Codes:
        """The code with every choice at its largest, its kinds drawn: (genes,).

        If that is not a code of the space, returns the most expensive of many samples.
        """
        if self._ordered is not None:
            return self._ordered.largest(self._rng)
        code = np.array([scale.levels.argmax() for scale in self.scales], dtype=np.int16)
        if self._space.contains(code[None])[0]:
            return code
        codes = self._space.sample(_SAMPLES, self._rng)
        largest: Codes = codes[self.cost(codes).argmax()]
        return largest

    def canonical(self, codes: Codes) -> Codes:
        """The distinct canonical codes of freely chosen genes: (k, genes)."""
        if self._ordered is not None:
            codes = self._ordered.canonical(codes)
            codes = codes[np.sort(np.unique(codes, axis=0, return_index=True)[1])]
        inside: Codes = codes[np.asarray(self._space.contains(codes), dtype=bool)]
        return inside

    def changes(self, code: Codes) -> Codes:
        """The codes that differ from `code` (genes,) in one gene: (k, genes).

        If a listed space has none, returns the codes that share the most genes with it.
        """
        genes, choices = self._choices
        codes = np.repeat(code[None], len(genes), axis=0)
        codes[np.arange(len(genes)), genes] = choices
        codes = _others(self.canonical(codes), code)
        if not len(codes) and self._every is not None:
            codes = self._every[nearest(self._every, code[None], _NEAREST)[0]]
        return codes

    def contract(self, code: Codes, factor: str) -> Codes:
        """`code` with one factor a step smaller; unchanged if it is the smallest: (genes,)."""
        contracted = code.copy()
        for i, scale in enumerate(self.scales):
            if scale.factor == factor:
                smaller = scale.smaller[int(code[i])]
                if len(smaller):
                    contracted[i] = smaller[self._rng.integers(len(smaller))]
        if self._ordered is not None:
            contracted = self._ordered.canonical(contracted[None])[0]
        return contracted

    def contractions(self, code: Codes) -> Codes:
        """`code` (genes,) with each one of its factors a step smaller: (<= factors, genes).

        If a listed space has none, returns the smaller codes that share the most genes with it.
        """
        codes = np.stack([self.contract(code, factor) for factor in self.factors])
        codes = _others(self.canonical(codes), code)
        if not len(codes) and self._every is not None:
            near = self._every[nearest(self._every, code[None], _NEAREST)[0]]
            codes = near[self.size(near) < self.size(code[None])][: len(self.factors)]
        return codes


def _others(codes: Codes, code: Codes) -> Codes:
    others: Codes = codes[(codes != code).any(axis=1)]
    return others


def _scales(brief: Brief, rng: np.random.Generator) -> tuple[Scale, ...]:
    space = brief.space
    if isinstance(space, Ordered):
        return tuple(
            Scale(gene.factor, gene.role, _numbers(gene.kinds), np.array(gene.levels))
            for gene in space.genes
        )
    codes = space.sample(_SAMPLES, rng)
    costs = None
    if brief.known_objectives is not None:
        costs = np.asarray(brief.known_objectives(codes), dtype=float)
    counts = space.cardinalities if isinstance(space, Categorical) else codes.max(axis=0) + 1
    scales = []
    for i, count in enumerate(counts):
        levels = np.arange(int(count))
        if costs is not None and costs.shape[1]:
            levels = _by_cost(codes[:, i], costs[:, 0], int(count))
        scales.append(Scale(f"gene{i}", "gene", np.zeros(int(count), dtype=np.int64), levels))
    return tuple(scales)


def _by_cost(choices: Codes, cost: Floats, count: int) -> NDArray[np.int64]:
    """Each choice's rank by the mean cost of the codes that have it: (count,)."""
    number = np.bincount(choices, minlength=count)
    total = np.bincount(choices, weights=cost, minlength=count)
    mean = np.divide(total, number, out=np.full(count, np.inf), where=number > 0)
    levels = np.empty(count, dtype=np.int64)
    levels[np.argsort(mean, kind="stable")] = np.arange(count)
    return levels


def _numbers(kinds: Sequence[Any]) -> NDArray[np.int64]:
    names = list(dict.fromkeys(kinds))
    return np.array([names.index(kind) for kind in kinds], dtype=np.int64)
