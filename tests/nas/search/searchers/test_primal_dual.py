"""Gates under a budget: against SciPy's constrained minimiser, and against derivatives."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from nas.search.searchers import primal_dual
from nas.search.searchers.primal_dual import Gates, projected
from search_spaces import load_space


@pytest.fixture(scope="module")
def tiny():
    return load_space("hybrid-tiny")


def test_a_projection_is_the_nearest_point_of_the_simplex():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(6, 4))
    there = np.arange(4) < np.array([1, 2, 3, 4, 4, 2])[:, None]
    nearest = projected(points, there)
    np.testing.assert_allclose(nearest.sum(axis=1), 1.0)
    assert (nearest >= 0).all()
    assert not nearest[~there].any()
    for point, open_, found in zip(points, there, nearest, strict=True):
        inside = rng.dirichlet(np.ones(open_.sum()), size=5000)
        distances = ((inside - point[open_]) ** 2).sum(axis=1)
        assert ((found - point)[open_] ** 2).sum() <= distances.min() + 1e-12


def test_forces_are_derivatives_of_what_the_depths_leave(tiny):
    rng = np.random.default_rng(1)
    gates = Gates(tiny)
    w = gates.padded([rng.normal(size=gene.cardinality) for gene in tiny.genes])
    force, start = gates.force(w), gates.values.copy()

    def value(i, c, step):
        gates.values = start.copy()
        gates.values[i, c] += step
        return float((w * gates.values * gates.share()).sum())

    for i, gene in enumerate(tiny.genes):
        for c in range(gene.cardinality):
            slope = (value(i, c, 1e-5) - value(i, c, -1e-5)) / 2e-5
            assert force[i, c] == pytest.approx(slope, abs=1e-8)


def test_gates_at_a_corner_cost_what_their_code_does(tiny):
    rng = np.random.default_rng(2)
    gates = Gates(tiny)
    table = [rng.normal(size=gene.cardinality) for gene in tiny.genes]
    for code in tiny.sample(20, rng):
        gates.values = gates.padded(
            [np.eye(g.cardinality)[c] for g, c in zip(tiny.genes, code, strict=True)]
        )
        active = tiny.active(code[None])[0]
        expected = sum(table[i][c] for i, c in enumerate(code) if active[i])
        assert (gates.padded(table) * gates.values * gates.share()).sum() == pytest.approx(
            expected
        )
        np.testing.assert_array_equal(gates.draw(3, rng), np.repeat(code[None], 3, axis=0))
        assert gates.likelihood(code[None])[0] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("share", [0.2, 0.5, 2.0])
def test_solved_gates_are_those_of_a_constrained_minimiser(share):
    space = load_space("macro")  # no depths: a convex problem
    rng = np.random.default_rng(3)
    slopes, costs = (
        [row - row.mean() for row in rng.normal(size=(space.num_genes, 3))[:, :]] for _ in "ab"
    )
    slopes, costs = (
        [row[: g.cardinality] for row, g in zip(rows, space.genes, strict=True)]
        for rows in (slopes, costs)
    )
    gates = Gates(space)
    v, c = gates.padded(slopes), gates.padded(costs)
    unit, even = np.mean([row.std() for row in slopes]), gates.values.copy()
    cheapest = sum(row.min() for row in costs)
    free = sum(row[np.argmin(s)] for row, s in zip(costs, slopes, strict=True))
    budget = cheapest + share * (free - cheapest)
    for _ in range(20):
        gates.solve(slopes, costs, budget)

    def loss(flat):
        p = flat.reshape(v.shape)
        return float((v / unit * p).sum() + primal_dual._SMOOTH / 2 * ((p - even) ** 2).sum())

    rows = [np.kron(np.eye(len(v))[i], np.ones(v.shape[1])) for i in range(len(v))]
    reference = minimize(
        loss,
        even.ravel(),
        method="SLSQP",
        bounds=[(0.0, float(e > 0)) for e in even.ravel()],
        constraints=[
            {"type": "eq", "fun": lambda flat: np.array(rows) @ flat - 1.0},
            {"type": "ineq", "fun": lambda flat: budget - c.ravel() @ flat},
        ],
        options={"maxiter": 500},
    )
    assert reference.success
    assert float((c * gates.values).sum()) <= budget + 0.05
    assert loss(gates.values.ravel()) == pytest.approx(reference.fun, abs=0.05)
    assert (gates.price > 0) == (share < 1)
