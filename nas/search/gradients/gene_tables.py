"""One number per choice of each gene: what choices cost, and what they probably do to the error.

    v_g,c     the effect of choice c of gene g, of mean 0 over the choices of a gene
    total(x) = sum over active genes g of v_g,x_g                                           (1)

`linear_table` fits (1) to values of whole architectures. `ChangeTable` fits it to differences
between two choices of one gene, d(a -> b) = v_b - v_a + noise, seen in other contexts each time:

    v = argmin sum (v_b - v_a - d)^2 + RIDGE |v|^2                                          (2)
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import threadpoolctl

from nas.search.protocol import Codes, Floats

if TYPE_CHECKING:
    from search_spaces.space import SearchSpace

Rows = list[Floats]
"""One number per choice of each gene: (cardinality,) each; NaN where nothing is known."""

RIDGE = 0.1
_SMALL = 1e-3


def effects(space: SearchSpace, codes: Codes) -> Floats:
    """Which choices codes make, (n, choices of all genes): each gene's columns sum to 0."""
    active = space.active(codes)
    columns = [
        (np.eye(gene.cardinality)[codes[:, i]] - 1.0 / gene.cardinality) * active[:, i, None]
        for i, gene in enumerate(space.genes)
    ]
    return np.concatenate(columns, axis=1)


def total(space: SearchSpace, table: Rows, codes: Codes) -> Floats:
    """Equation (1): (n,)."""
    active = space.active(codes)
    values = [row[codes[:, i]] * active[:, i] for i, row in enumerate(table)]
    summed: Floats = np.sum(values, axis=0)
    return summed


def linear_table(space: SearchSpace, codes: Codes, values: Floats) -> tuple[Rows, float]:
    """The table, and the constant, whose sums are nearest to `values` (n,)."""
    features = effects(space, codes)
    center = features.mean(axis=0)
    with one_thread():
        gram = (features - center).T @ (features - center)
        gram += _SMALL * len(codes) * np.eye(len(gram))
        weights = np.linalg.solve(gram, (features - center).T @ (values - values.mean()))
    return split(space, weights), float(values.mean() - center @ weights)


def split(space: SearchSpace, flat: Floats) -> Rows:
    """One row per gene, centred, of the numbers of all choices in a row."""
    ends = np.cumsum([gene.cardinality for gene in space.genes])[:-1]
    return [row - row.mean() for row in np.split(flat, ends)]


def one_thread() -> AbstractContextManager[object]:
    """NumPy's matrix products on one thread: how many there are changes the last bits."""
    limits: AbstractContextManager[object] = _blas().limit(limits=1, user_api="blas")
    return limits


@cache
def _blas() -> threadpoolctl.ThreadpoolController:
    """Made once: looking through the loaded libraries takes 10 ms."""
    return threadpoolctl.ThreadpoolController()


class ChangeTable:
    """Equation (2), with differences added one context at a time."""

    def __init__(self, space: SearchSpace) -> None:
        sizes = [gene.cardinality for gene in space.genes]
        self._matrices = [np.zeros((size, size)) for size in sizes]
        self._sides = [np.zeros(size) for size in sizes]

    def add(self, code: Codes, rows: Rows) -> None:
        """Differences from the choices of `code` (genes,) to the others; NaN where unknown."""
        for gene, row in enumerate(rows):
            own = int(code[gene])
            for choice in np.flatnonzero(~np.isnan(row)):
                if choice != own:
                    self._add(gene, own, int(choice), float(row[choice]))

    def rows(self) -> Rows:
        """The effects as they are known so far."""
        with one_thread():
            solved = [
                np.linalg.solve(matrix + RIDGE * np.eye(len(side)), side)
                for matrix, side in zip(self._matrices, self._sides, strict=True)
            ]
        return [row - row.mean() for row in solved]

    def _add(self, gene: int, own: int, choice: int, difference: float) -> None:
        matrix, side = self._matrices[gene], self._sides[gene]
        matrix[own, own] += 1.0
        matrix[choice, choice] += 1.0
        matrix[own, choice] -= 1.0
        matrix[choice, own] -= 1.0
        side[choice] += difference
        side[own] -= difference
