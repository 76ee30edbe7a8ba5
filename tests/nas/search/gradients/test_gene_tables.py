"""Tables of one number per choice, fitted to whole codes and to differences."""

from __future__ import annotations

import numpy as np
import pytest

from nas.search.gradients.gene_tables import RIDGE, ChangeTable, effects, linear_table, total
from search_spaces import load_space


@pytest.fixture(scope="module")
def space():
    return load_space("hybrid-tiny")


def centred(space, rng):
    rows = [rng.normal(size=gene.cardinality) for gene in space.genes]
    return [row - row.mean() for row in rows]


def test_a_total_is_the_sum_over_active_choices(space):
    rng = np.random.default_rng(0)
    table, codes = centred(space, rng), space.sample(50, rng)
    expected = [
        sum(table[i][c] for i, c in enumerate(code) if space.active(code[None])[0, i])
        for code in codes
    ]
    np.testing.assert_allclose(total(space, table, codes), expected)
    np.testing.assert_allclose(effects(space, codes) @ np.concatenate(table), expected)


def test_a_linear_table_finds_what_it_was_made_of(space):
    rng = np.random.default_rng(1)
    table, codes = centred(space, rng), space.sample(4000, rng)
    found, constant = linear_table(space, codes, total(space, table, codes) + 7.0)
    assert np.abs(np.concatenate(found) - np.concatenate(table)).max() < 0.1
    fresh = space.sample(500, rng)
    np.testing.assert_allclose(
        total(space, found, fresh) + constant, total(space, table, fresh) + 7.0, atol=0.3
    )


def test_differences_with_gaps_give_all_effects(space):
    rng = np.random.default_rng(2)
    table, changes = centred(space, rng), ChangeTable(space)
    for code in space.sample(300, rng):
        rows = []
        for i, row in enumerate(table):
            seen = rng.random(len(row)) < 0.5
            active = space.active(code[None])[0, i]
            rows.append(np.where(seen & active, row - row[code[i]], np.nan))
        changes.add(code, rows)
    found = changes.rows()
    np.testing.assert_allclose(np.concatenate(found), np.concatenate(table), atol=0.05)
    np.testing.assert_allclose([row.mean() for row in found], 0.0, atol=1e-12)


def test_one_difference_is_shrunk_by_the_ridge(space):
    changes = ChangeTable(space)
    rows = [np.full(gene.cardinality, np.nan) for gene in space.genes]
    at = [gene.cardinality for gene in space.genes].index(2)
    rows[at] = np.array([0.0, 3.0])
    changes.add(np.zeros(space.num_genes, dtype=np.int16), rows)
    found = changes.rows()
    np.testing.assert_allclose(found.pop(at), np.array([-3.0, 3.0]) / (2.0 + RIDGE))
    assert not np.concatenate(found).any()
