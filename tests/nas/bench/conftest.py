"""A table of three genes with a formula for accuracy and latency."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from nas.bench.table import Column, Table

CARDINALITIES = (4, 3, 5)


def values(codes):
    """Accuracy in per cent and latency of codes (n, 3)."""
    share = codes / (np.array(CARDINALITIES) - 1)
    accuracy = 60 + 10 * np.sqrt(share).sum(axis=1) + 3 * share[:, 0] * share[:, 1]
    return accuracy, 1.0 + codes @ np.array([1.5, 0.25, 0.5])


@pytest.fixture
def codes():
    return np.array(list(itertools.product(*map(range, CARDINALITIES))))


@pytest.fixture
def table(codes):
    accuracy, latency = values(codes)
    columns = [Column("acc", True, accuracy), Column("lat", False, latency)]
    return Table(codes, CARDINALITIES, columns)


@pytest.fixture
def csv_file(codes, tmp_path) -> Path:
    """The same as a file, its categories in words."""
    accuracy, latency = values(codes)
    lines = ["id,op_a,op_b,op_c,acc,lat"]
    for i, code in enumerate(codes):
        words = [f"kind{code[0]}", str(3 + 2 * code[1]), str(4 * code[2])]
        lines.append(",".join([str(i), *words, repr(float(accuracy[i])), repr(float(latency[i]))]))
    path = tmp_path / "table.csv"
    path.write_text("\n".join(lines) + "\n")
    return path
