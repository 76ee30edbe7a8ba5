"""Gene tables: the amount that each choice of each gene adds to a cost or to the error.

    v_g,c     the effect of choice c of gene g, of mean 0 over the choices of a gene
    total(x) = sum over active genes g of v_g,x_g                                           (1)

`linear_table` fits (1) to values of whole architectures. `ChangeTable` fits it to differences
between two choices of one gene, d(a -> b) = v_b - v_a + noise, each seen in another architecture:

    v = argmin sum (v_b - v_a - d)^2 + RIDGE |v|^2                                          (2)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nas.search.protocol import Codes, Floats, GeneTable
from nas.search.threads import one_blas_thread

if TYPE_CHECKING:
    from search_spaces.space import SearchSpace

RIDGE = 0.1
_SMALL = 1e-3


def effects(space: SearchSpace, codes: Codes) -> Floats:
    """Which choices codes make, (n, choices of all genes); the columns of a gene sum to 0."""
    active = space.active(codes)
    columns = [
        (np.eye(gene.cardinality)[codes[:, i]] - 1.0 / gene.cardinality) * active[:, i, None]
        for i, gene in enumerate(space.genes)
    ]
    return np.concatenate(columns, axis=1)


def total(space: SearchSpace, table: GeneTable, codes: Codes) -> Floats:
    """Equation (1): (n,)."""
    active = space.active(codes)
    values = [row[codes[:, i]] * active[:, i] for i, row in enumerate(table)]
    summed: Floats = np.sum(values, axis=0)
    return summed


def linear_table(space: SearchSpace, codes: Codes, values: Floats) -> tuple[GeneTable, float]:
    """The gene table and the constant whose totals are nearest to `values` (n,)."""
    features = effects(space, codes)
    center = features.mean(axis=0)
    with one_blas_thread():
        gram = (features - center).T @ (features - center)
        gram += _SMALL * len(codes) * np.eye(len(gram))
        weights = np.linalg.solve(gram, (features - center).T @ (values - values.mean()))
    return split(space, weights), float(values.mean() - center @ weights)


def split(space: SearchSpace, flat: Floats) -> GeneTable:
    """The numbers of all choices, one after the other, as one centred row per gene."""
    ends = np.cumsum([gene.cardinality for gene in space.genes])[:-1]
    return [row - row.mean() for row in np.split(flat, ends)]


class ChangeTable:
    """Fits equation (2) to differences that are added one architecture at a time."""

    def __init__(self, space: SearchSpace) -> None:
        sizes = [gene.cardinality for gene in space.genes]
        self._matrices = [np.zeros((size, size)) for size in sizes]
        self._sides = [np.zeros(size) for size in sizes]

    def add(self, code: Codes, rows: GeneTable) -> None:
        """Add differences from the choices of `code` (genes,) to the others; NaN where unknown."""
        for gene, row in enumerate(rows):
            own = int(code[gene])
            for choice in np.flatnonzero(~np.isnan(row)):
                if choice != own:
                    self._add(gene, own, int(choice), float(row[choice]))

    def rows(self) -> GeneTable:
        """The effects, by all differences so far."""
        with one_blas_thread():
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
