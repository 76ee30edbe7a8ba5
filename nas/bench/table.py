"""A tabular benchmark: every architecture of a space with its measured objectives.

    row   op_1_0  op_2_0 | acc_cifar10  lat_titanx_32
    0     4       2      | 85.86        7.53
    1     3       3      | 93.66        9.77

The code columns' values are categories, and the rows are all architectures of the space.
All objectives are minimised: a maximised column is replaced by its distance from the best
possible value (1 for shares, 100 for per cents), or by its negative if there is none. It counts
from 0, or from the least value in the table if there are negative ones.

Papers: NAS-Bench-201, Dong and Yang 2020, https://arxiv.org/abs/2001.00326; latencies for it,
HW-NAS-Bench, Li et al. 2021, https://arxiv.org/abs/2103.10584
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.errors import DataError
from nas.search.protocol import Bools, Codes, Floats

MOST_CATEGORIES = np.iinfo(np.int16).max
"""Of one gene: codes are 16-bit integers in every searcher."""


@dataclass(frozen=True)
class Column:
    """One objective of a table."""

    name: str
    maximize: bool
    values: Floats
    """The values in the table, (rows,)."""

    @property
    def minimised(self) -> Floats:
        """The values as a searcher minimises them: (rows,)."""
        if not self.maximize:
            return self.values
        return self._ceiling - self.values

    @property
    def reference(self) -> float:
        """Reference of the hypervolume: the worst value that counts, as it is minimised."""
        if not self.maximize:
            return float(self.values.max())
        return self._ceiling - min(0.0, float(self.values.min()))

    @property
    def _ceiling(self) -> float:
        """The best possible value of a share or a per cent; 0 for anything else."""
        least, top = float(self.values.min()), float(self.values.max())
        if least < 0 or top > 100:
            return 0.0
        return 1.0 if top <= 1 else 100.0


class Table:
    """A `CodeSpace` of listed codes, with the objectives of each.

    Args:
        codes: The categories of each row, (rows, genes), none twice.
        cardinalities: Number of categories of each gene.
        columns: The objectives; the first is the one that is expensive to evaluate.
    """

    def __init__(
        self, codes: Codes, cardinalities: Sequence[int], columns: Sequence[Column]
    ) -> None:
        wide = np.asarray(codes, dtype=np.int64)
        if wide.size and wide.max() >= MOST_CATEGORIES:
            raise DataError(f"A gene of a table can have {MOST_CATEGORIES:,} categories.")
        self.codes = wide.astype(np.int16)
        self.columns = tuple(columns)
        self.objectives: Floats = np.stack([column.minimised for column in columns], axis=1)
        self.reference: Floats = np.array([column.reference for column in columns])
        self._cardinalities = np.array(cardinalities)
        self._row = {code.tobytes(): row for row, code in enumerate(wide)}
        starts = np.concatenate([[0], np.cumsum(self._cardinalities)[:-1]])
        self._starts = starts.astype(np.int64)

    # What a searcher needs of a space

    @property
    def num_genes(self) -> int:
        """Length of one code."""
        return int(self.codes.shape[1])

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """Number of categories of each gene."""
        return tuple(int(n) for n in self._cardinalities)

    def size(self) -> int:
        """Number of rows."""
        return len(self.codes)

    def enumerate(self) -> Codes:
        """Every code, in the order of the rows: (rows, genes)."""
        return self.codes.copy()

    def sample(self, n: int, rng: np.random.Generator) -> Codes:
        """Draw `n` rows' codes, repeats allowed: (n, genes)."""
        return self.codes[rng.integers(len(self.codes), size=n)]

    def mutate(self, codes: Codes, rng: np.random.Generator) -> Codes:
        """Another category for one gene of each code, (n, genes); it may not be in the table."""
        codes = np.array(codes, dtype=np.int16)
        changeable = np.flatnonzero(self._cardinalities > 1)
        if not len(changeable):
            return codes
        genes = changeable[rng.integers(len(changeable), size=len(codes))]
        at = np.arange(len(codes)), genes
        step = rng.integers(1, self._cardinalities[genes])
        codes[at] = (codes[at] + step) % self._cardinalities[genes]
        return codes

    def crossover(self, first: Codes, second: Codes, rng: np.random.Generator) -> Codes:
        """Each gene from either parent, (n, genes); the child may not be in the table."""
        return np.where(rng.random(first.shape) < 0.5, first, second).astype(np.int16)

    def features(self, codes: Codes) -> Floats:
        """One column per category of each gene: (n, categories) float32."""
        result = np.zeros((len(codes), int(self._cardinalities.sum())), dtype=np.float32)
        np.put_along_axis(result, self._starts + codes.astype(np.int64), 1.0, axis=1)
        return result

    @property
    def feature_groups(self) -> NDArray[np.int64]:
        """The gene that each feature belongs to: (categories,)."""
        return np.repeat(np.arange(self.num_genes), self._cardinalities)

    def contains(self, codes: Codes) -> Bools:
        """Which codes have a row in the table: (n,)."""
        return self._find(codes) >= 0

    def canonical(self, codes: Codes) -> Codes:
        """The codes, those without a row replaced by the nearest row's: (n, genes)."""
        result = np.array(codes, dtype=np.int64)
        for i in np.flatnonzero(self._find(result) < 0):
            result[i] = self.nearest(result[i])
        return result.astype(np.int16)

    def nearest(self, code: Codes, asked: Codes | None = None) -> Codes:
        """The first row's code among those that share the most genes with `code` (genes,).

        Foreign search tools choose genes independently and rarely meet a row of a sparse table.

        Args:
            code: Any combination of categories.
            asked: Codes of rows (n, genes) that are chosen only if there are no others.
        """
        shared = (self.codes == code).sum(axis=1)
        if asked is not None and len(asked):
            shared[self.rows(asked)] -= self.num_genes + 1
        nearest: Codes = self.codes[int(shared.argmax())]
        return nearest

    # What was measured

    def rows(self, codes: Codes) -> NDArray[np.int64]:
        """The row of each code: (n,).

        Raises:
            DataError: the table has no such row.
        """
        found = self._find(codes)
        if (found < 0).any():
            missing = np.asarray(codes)[found < 0][0]
            raise DataError(f"The table has no row with the code {missing.tolist()}.")
        return found

    def _find(self, codes: Codes) -> NDArray[np.int64]:
        keys = np.ascontiguousarray(codes, dtype=np.int64)
        return np.array([self._row.get(code.tobytes(), -1) for code in keys], dtype=np.int64)
