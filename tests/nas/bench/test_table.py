from __future__ import annotations

import numpy as np
import pytest

from nas.bench.table import Column, Table
from nas.errors import DataError


@pytest.mark.parametrize(
    ("values", "minimised", "reference"),
    [
        ([50.0, 94.5], [50.0, 5.5], 100.0),
        ([0.5, 0.75], [0.5, 0.25], 1.0),
        ([150.0, 300.0], [-150.0, -300.0], 0.0),
    ],
    ids=["per cent", "share", "throughput"],
)
def test_a_maximised_column_counts_from_zero(values, minimised, reference):
    column = Column("x", True, np.array(values))
    np.testing.assert_array_equal(column.minimised, minimised)
    assert column.reference == reference


def test_a_minimised_column_counts_up_to_its_largest():
    column = Column("x", False, np.array([3.0, 7.0, 5.0]))
    np.testing.assert_array_equal(column.minimised, [3, 7, 5])
    assert column.reference == 7


def test_rows_are_found_by_their_codes_whatever_the_integer_type(table, codes):
    shuffled = np.random.default_rng(0).permutation(len(codes))
    np.testing.assert_array_equal(table.rows(codes[shuffled].astype(np.int64)), shuffled)
    assert table.contains(codes).all()
    assert not table.contains(codes + 7).any()
    with pytest.raises(DataError, match=r"no row with the code \[9, 9, 9\]"):
        table.rows(np.array([[0, 0, 0], [9, 9, 9]]))


def test_a_mutation_changes_one_gene_to_another_category(table):
    rng = np.random.default_rng(0)
    parents = table.sample(500, rng)
    children = table.mutate(parents, rng)
    assert ((children != parents).sum(axis=1) == 1).all()
    assert table.contains(children).all()


def test_a_child_has_each_gene_from_one_of_its_parents(table):
    rng = np.random.default_rng(0)
    first, second = table.sample(200, rng), table.sample(200, rng)
    children = table.crossover(first, second, rng)
    assert ((children == first) | (children == second)).all()


def test_features_are_one_column_per_category(table, codes):
    features = table.features(codes)
    assert features.shape == (60, 12)
    assert (features.sum(axis=1) == 3).all()
    assert len(np.unique(features, axis=0)) == 60


def test_a_code_that_is_no_row_stands_for_the_row_nearest_to_it():
    codes = np.array([[0, 0, 0], [0, 1, 1], [1, 1, 1], [1, 0, 0]])
    table = Table(codes, (2, 2, 2), [Column("acc", True, np.arange(4.0))])
    wanted = np.array([[1, 1, 1], [0, 0, 1], [1, 0, 1]])
    np.testing.assert_array_equal(table.rows(table.canonical(wanted)), [2, 0, 2])
    asked = table.codes[[0]]
    assert table.rows(table.nearest(wanted[1], asked)[None]) == [1]
    assert table.rows(table.nearest(wanted[1], table.codes)[None]) == [0]


@pytest.mark.parametrize("values", [[-3.0, -1.0], [-0.5, 0.9], [-20.0, 80.0]])
def test_a_maximised_column_with_negative_values_counts_from_its_least(values):
    column = Column("x", True, np.array(values))
    np.testing.assert_array_equal(column.reference - column.minimised, [0, values[1] - values[0]])


def test_a_code_beyond_its_integer_type_is_no_other_code(table):
    wrapped = table.codes[:3].astype(np.int64) + 2**16
    assert not table.contains(wrapped).any()
    with pytest.raises(DataError, match="no row with the code"):
        table.rows(wrapped)
    with pytest.raises(DataError, match="can have 32,767 categories"):
        Table(np.array([[70_000]]), (70_001,), [Column("acc", True, np.ones(1))])
