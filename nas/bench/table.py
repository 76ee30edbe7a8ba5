"""A tabular benchmark: every architecture of a space with what was measured of it.

    row   op_1_0  op_2_0 | acc_cifar10  lat_titanx_32
    0     4       2      | 85.86        7.53
    1     3       3      | 93.66        9.77

The code columns' values are categories; the rows are all there is. Objectives are minimised as
everywhere: a maximised column becomes its distance from the best it could be (1 or 100 for shares
and per cents), else its negative.

Papers: NAS-Bench-201, Dong and Yang 2020, https://arxiv.org/abs/2001.00326; latencies for it,
HW-NAS-Bench, Li et al. 2021, https://arxiv.org/abs/2103.10584
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nas.errors import DataError, UnknownNameError, did_you_mean
from nas.search.protocol import Bools, Codes, Floats


@dataclass(frozen=True)
class Column:
    """One objective of a table."""

    name: str
    maximize: bool
    values: Floats
    """As in the table, (rows,)."""

    @property
    def minimised(self) -> Floats:
        """What a searcher is told: (rows,)."""
        if not self.maximize:
            return self.values
        top = float(self.values.max(initial=0.0))
        ceiling = 1.0 if top <= 1 else 100.0 if top <= 100 else 0.0
        return ceiling - self.values

    @property
    def reference(self) -> float:
        """Up to where volume counts, minimised: a value of 0, or the largest of the table."""
        if not self.maximize:
            return float(self.values.max())
        return float((self.minimised + self.values)[0])


class Table:
    """A space of listed codes with the objectives of each; a `CodeSpace`.

    Args:
        codes: The categories of each row, (rows, genes), none twice.
        cardinalities: Number of categories of each gene.
        columns: The objectives; the first is the one that is dear to evaluate.
    """

    def __init__(
        self, codes: Codes, cardinalities: Sequence[int], columns: Sequence[Column]
    ) -> None:
        self.codes = np.asarray(codes, dtype=np.int16)
        self.columns = tuple(columns)
        self.objectives: Floats = np.stack([column.minimised for column in columns], axis=1)
        self.reference: Floats = np.array([column.reference for column in columns])
        self._cardinalities = np.array(cardinalities)
        self._row = {code.tobytes(): row for row, code in enumerate(self.codes)}
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
        """The gene that each feature is of: (categories,)."""
        return np.repeat(np.arange(self.num_genes), self._cardinalities)

    def contains(self, codes: Codes) -> Bools:
        """Which codes the table has a row of: (n,)."""
        return self._find(codes) >= 0

    def canonical(self, codes: Codes) -> Codes:
        """The codes themselves where the table has them, else the nearest rows': (n, genes)."""
        result = np.array(codes, dtype=np.int16)
        for i in np.flatnonzero(self._find(result) < 0):
            result[i] = self.nearest(result[i])
        return result

    def nearest(self, code: Codes, asked: Codes | None = None) -> Codes:
        """The row's code that shares most genes with `code` (genes,); of several, the first.

        Foreign search tools choose genes independently and would never meet a row of a sparse
        table.

        Args:
            code: Any combination of categories.
            asked: Rows' codes (n, genes) that count only when there are no others.
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
        keys = np.ascontiguousarray(codes, dtype=np.int16)
        return np.array([self._row.get(code.tobytes(), -1) for code in keys], dtype=np.int64)


def read_table(
    path: Path, code_columns: Sequence[str], *, maximize: Sequence[str], minimize: Sequence[str]
) -> tuple[Table, list[str]]:
    """A table from a CSV file (.csv or .csv.gz) with a header line.

    A single code column of equally long words, a different one in each row, is read as one gene
    per character. Rows without a number for an objective are left out, and so are repeats.

    Args:
        path: The file.
        code_columns: Names or patterns (`op_*`) of the columns that make up the code.
        maximize: Columns to maximise, such as the accuracy.
        minimize: Columns to minimise, such as the latency.

    Returns:
        The table, and notes on what was left out or read in a special way.

    Raises:
        DataError: not a readable table, or no rows remain.
        UnknownNameError: a column that is not there.
    """
    header, lines = _lines(path)
    code_names = [name for pattern in code_columns for name in _matching(header, pattern, path)]
    code_names = list(dict.fromkeys(code_names))
    objectives = [*maximize, *minimize]
    for name in objectives:
        if name not in header:
            raise _no_column(header, name, path)
        if name in code_names or objectives.count(name) > 1:
            raise DataError(f"'{name}' is named as code and objective, or twice. Name it once.")
    if not objectives:
        raise DataError("A benchmark needs an objective: name one with --maximize or --minimize.")

    notes: list[str] = []
    measured = [header.index(name) for name in objectives]
    values = np.array([[_number(line[i]) for i in measured] for line in lines])
    values = values.reshape(len(lines), len(objectives))
    chosen = [header.index(name) for name in code_names]
    words = [tuple(line[i] for i in chosen) for line in lines]
    whole = np.isfinite(values).all(axis=1)
    if not whole.all():
        notes.append(f"{(~whole).sum():,} rows without a number for every objective are left out")
    first: dict[tuple[str, ...], int] = {}
    for row in np.flatnonzero(whole):
        first.setdefault(words[row], int(row))
    if len(first) < whole.sum():
        repeats = int(whole.sum()) - len(first)
        notes.append(f"{repeats:,} rows repeat the code of an earlier one and are left out")
    rows = list(first.values())
    if not rows:
        raise DataError(f"'{path}' has no row with a number in each of {', '.join(objectives)}.")
    genes = [words[row] for row in rows]
    if _is_spelled(genes):
        notes.append(f"'{code_names[0]}' is read as {len(genes[0][0])} genes, one per character")
        genes = [tuple(gene[0]) for gene in genes]
    codes, cardinalities = _categories(genes)
    columns = [
        Column(name, name in maximize, values[rows, i]) for i, name in enumerate(objectives)
    ]
    return Table(codes, cardinalities, columns), notes


def _lines(path: Path) -> tuple[list[str], list[list[str]]]:
    try:
        content = path.read_bytes()
        text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
        header, *lines = [line for line in csv.reader(io.StringIO(text, newline="")) if line]
    except FileNotFoundError:
        raise DataError(f"There is no table '{path}'.") from None
    except (OSError, EOFError, UnicodeDecodeError, csv.Error, ValueError) as error:
        raise DataError(f"'{path}' cannot be read as CSV with a header line: {error}.") from None
    uneven = [i for i, line in enumerate(lines, 2) if len(line) != len(header)]
    if uneven:
        raise DataError(
            f"Line {uneven[0]} of '{path}' has {len(lines[uneven[0] - 2])} columns where the "
            f"header has {len(header)}."
        )
    return header, lines


def _matching(header: Sequence[str], pattern: str, path: Path) -> list[str]:
    found = [name for name in header if fnmatchcase(name, pattern)]
    if not found:
        raise _no_column(header, pattern, path)
    return found


def _no_column(header: Sequence[str], name: str, path: Path) -> UnknownNameError:
    return UnknownNameError(
        f"'{path}' has no column '{name}'.{did_you_mean(name, header)} "
        f"Its columns: {', '.join(header)}."
    )


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _is_spelled(genes: Sequence[tuple[str, ...]]) -> bool:
    """Whether one column spells out a whole architecture in each row."""
    lengths = {len(gene[0]) for gene in genes}
    return len(genes[0]) == 1 and len(genes) > 1 and len(lengths) == 1 and lengths.pop() > 1


def _categories(genes: Sequence[tuple[str, ...]]) -> tuple[Codes, list[int]]:
    """Each gene's words numbered in their natural order: codes (rows, genes), cardinalities."""
    columns, cardinalities = [], []
    for words in zip(*genes, strict=True):
        values = [_number(word) for word in words]
        ordered = np.array(values if np.isfinite(values).all() else words)
        names, numbers = np.unique(ordered, return_inverse=True)
        columns.append(numbers)
        cardinalities.append(len(names))
    return np.stack(columns, axis=1).astype(np.int16), cardinalities
