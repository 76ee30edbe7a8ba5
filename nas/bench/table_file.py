"""Reads a tabular benchmark from a CSV file."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import math
import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from fractions import Fraction
from pathlib import Path

import numpy as np

from nas.bench.table import MOST_CATEGORIES, Column, Table
from nas.errors import DataError, UnknownNameError, did_you_mean, reason
from nas.search.protocol import Codes, Floats

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_DECIMAL_COMMA = re.compile(r"^([+-]?\d+),(\d+(?:[eE][+-]?\d+)?)$")


def read_table(
    path: Path, code_columns: Sequence[str], *, maximize: Sequence[str], minimize: Sequence[str]
) -> tuple[Table, list[str]]:
    """A table from a CSV file (.csv or .csv.gz) with a header line.

    Columns are separated by commas, or by the semicolons or tabs that spreadsheets write; beside
    semicolons, numbers may have decimal commas. Spaces around words do not count. A single code
    column of equally long words is read as one gene per character. Rows without a number for
    every objective are left out, and so are repeated codes.

    Args:
        path: The file.
        code_columns: Names or patterns (`op_*`) of the columns that make up the code.
        maximize: Columns to maximise, such as the accuracy.
        minimize: Columns to minimise, such as the latency.

    Returns:
        The table, and notes on rows that were left out and on codes of one gene per character.

    Raises:
        DataError: not a readable table, or no rows remain.
        UnknownNameError: a column that is not there.
    """
    header, lines = _lines(path)
    code_names = [name for pattern in code_columns for name in _matching(header, pattern, path)]
    code_names = list(dict.fromkeys(code_names))
    objectives = [*maximize, *minimize]
    _check_unique([*code_names, *objectives], header, path)
    _check_objectives(objectives, code_names, header, path)
    values = _columns(lines, [header.index(name) for name in objectives])
    chosen = [header.index(name) for name in code_names]
    words = _same_numbers([tuple(line[i] for i in chosen) for line in lines])
    rows, notes = _kept(words, values)
    if not rows:
        raise _no_numbers(path, objectives, header, lines)
    empty = sum("" in words[row] for row in rows)
    if empty:
        notes.append(f"{empty:,} rows have an empty cell in their code, read as a category")
    genes = [words[row] for row in rows]
    if _is_spelled(genes):
        notes.append(f"'{code_names[0]}' is read as {len(genes[0][0])} genes, one per character")
        genes = [tuple(gene[0]) for gene in genes]
    codes, cardinalities = _categories(genes)
    for name, count in zip(code_names, cardinalities, strict=False):
        if count > MOST_CATEGORIES:
            raise DataError(
                f"Column '{name}' has {count:,} different values, and a gene can have "
                f"{MOST_CATEGORIES:,}. Leave it out of --code-columns if it only numbers the rows."
            )
    columns = [
        Column(name, name in maximize, values[rows, i]) for i, name in enumerate(objectives)
    ]
    return Table(codes, cardinalities, columns), notes


def _no_numbers(
    path: Path, objectives: Sequence[str], header: Sequence[str], lines: Sequence[Sequence[str]]
) -> DataError:
    found = [f"'{lines[0][header.index(name)]}' in {name}" for name in objectives if lines]
    shown = f" The first row has {', '.join(found)}." if found else ""
    return DataError(
        f"'{path}' has no row with a number in each of {', '.join(objectives)}.{shown} Numbers "
        "are written as in 94.5, without a unit."
    )


def _check_unique(names: Sequence[str], header: Sequence[str], path: Path) -> None:
    for name in names:
        if header.count(name) > 1:
            raise DataError(f"'{path}' has {header.count(name)} columns '{name}'. Rename them.")


def _check_objectives(
    objectives: Sequence[str], code_names: Sequence[str], header: Sequence[str], path: Path
) -> None:
    for name in objectives:
        if name not in header:
            raise _no_column(header, name, path)
        if name in code_names or objectives.count(name) > 1:
            raise DataError(f"'{name}' is named as code and objective, or twice. Name it once.")
    if not objectives:
        raise DataError("A benchmark needs an objective: name one with --maximize or --minimize.")


def _columns(lines: Sequence[Sequence[str]], places: Sequence[int]) -> Floats:
    """The numbers of some columns, (lines, places); NaN where there is none."""
    values = np.array([[_number(line[i]) for i in places] for line in lines])
    return values.reshape(len(lines), len(places))


def _kept(words: Sequence[tuple[str, ...]], values: Floats) -> tuple[list[int], list[str]]:
    """The rows with all numbers, the first of each code; and notes on the others."""
    notes = []
    whole = np.isfinite(values).all(axis=1)
    if not whole.all():
        notes.append(f"{(~whole).sum():,} rows without a number for every objective are left out")
    first: dict[tuple[str, ...], int] = {}
    for row in np.flatnonzero(whole).tolist():
        first.setdefault(words[row], row)
    if len(first) < whole.sum():
        repeats = int(whole.sum()) - len(first)
        notes.append(f"{repeats:,} rows repeat the code of an earlier one and are left out")
        rows = np.flatnonzero(whole).tolist()
        if any((values[row] != values[first[words[row]]]).any() for row in rows):
            notes.append("some of them have other values: a column of the code may be missing")
    return list(first.values()), notes


def _lines(path: Path) -> tuple[list[str], list[list[str]]]:
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
        text = content.decode("utf-16" if content.startswith(_UTF_16) else "utf-8-sig")
        first = text.lstrip().partition("\n")[0]
        separator = next((each for each in ",;\t" if each in first), ",")
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        header, *lines = [[word.strip() for word in line] for line in reader if line]
    except FileNotFoundError:
        raise DataError(f"There is no table '{path}'.") from None
    except (OSError, EOFError, UnicodeDecodeError, csv.Error, ValueError) as error:
        raise DataError(
            f"'{path}' cannot be read as CSV with a header line: {reason(error)}."
        ) from None
    uneven = [i for i, line in enumerate(lines, 2) if len(line) != len(header)]
    if uneven:
        raise DataError(
            f"Line {uneven[0]} of '{path}' has {len(lines[uneven[0] - 2])} columns where the "
            f"header has {len(header)}."
        )
    if separator == ";":
        lines = [[_DECIMAL_COMMA.sub(r"\1.\2", word) for word in line] for line in lines]
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
    """The number that is written; NaN if there is none, as in 3_12, which Python reads as 312."""
    try:
        return float(text) if "_" not in text else math.nan
    except ValueError:
        return math.nan


def _is_spelled(genes: Sequence[tuple[str, ...]]) -> bool:
    """Whether one column spells out a whole architecture in each row."""
    lengths = {len(gene[0]) for gene in genes}
    return len(genes[0]) == 1 and len(genes) > 1 and len(lengths) == 1 and lengths.pop() > 1


def _same_numbers(words: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The codes with each number written in one way in columns of numbers: 1, 1.0 and 01 as 1."""
    columns = []
    for column in zip(*words, strict=True):
        exact = {word: _exact(word) for word in set(column)}
        spelled = len({len(word) for word in exact}) == 1  # "00" and "01" may be two genes
        if spelled or None in exact.values():
            columns.append(column)
        else:
            columns.append(tuple(str(exact[word]) for word in column))
    return list(zip(*columns, strict=True)) if columns else []


def _exact(word: str) -> Fraction | None:
    """A number without rounding: whole numbers of 64 bits differ in their last digit."""
    if not math.isfinite(_number(word)):
        return None
    return Fraction(word)


def _categories(genes: Sequence[tuple[str, ...]]) -> tuple[Codes, list[int]]:
    """Each gene's words numbered in their natural order: codes (rows, genes), cardinalities."""
    columns, cardinalities = [], []
    for words in zip(*genes, strict=True):
        exact = {word: number for word in set(words) if (number := _exact(word)) is not None}
        numeric = len(exact) == len(set(words))
        names = sorted(exact, key=exact.__getitem__) if numeric else sorted(set(words))
        places = {name: place for place, name in enumerate(names)}
        columns.append([places[word] for word in words])
        cardinalities.append(len(names))
    return np.array(columns).T, cardinalities
