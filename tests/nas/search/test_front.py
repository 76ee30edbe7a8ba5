from __future__ import annotations

import numpy as np
import pytest

from nas.search.front import crowding, hypervolume, hypervolume_curve, non_dominated, ranks


def dominates(a, b):
    return (a <= b).all() and (a < b).any()


@pytest.mark.parametrize("m", [1, 2, 3])
def test_the_non_dominated_are_those_that_no_row_dominates(m):
    points = np.random.default_rng(0).integers(0, 6, size=(60, m)).astype(float)
    expected = [not any(dominates(b, a) for b in points) for a in points]
    np.testing.assert_array_equal(non_dominated(points), expected)


@pytest.mark.parametrize("m", [1, 2, 3])
def test_ranks_peel_one_front_after_another(m):
    points = np.random.default_rng(1).integers(0, 6, size=(60, m)).astype(float)
    left = np.arange(60)
    result = ranks(points)
    for rank in range(60):
        front = non_dominated(points[left])
        np.testing.assert_array_equal(left[front], np.flatnonzero(result == rank))
        left = left[~front]
        if not len(left):
            break


def test_a_failed_evaluation_is_on_no_front():
    points = np.array([[0.0, np.nan], [1.0, 1.0], [np.nan, np.nan]])
    np.testing.assert_array_equal(non_dominated(points), [False, True, False])
    assert ranks(points)[1] == 0
    assert (ranks(points)[[0, 2]] > 0).all()
    assert not non_dominated(points[[0, 2]]).any()


@pytest.mark.parametrize("m", [1, 2, 3])
def test_hypervolume_equals_counted_cells(m):
    points = np.random.default_rng(2).integers(0, 9, size=(12, m)).astype(float)
    cells = np.stack(np.meshgrid(*[np.arange(7)] * m), axis=-1).reshape(-1, m)
    covered = (points[:, None] <= cells).all(axis=2).any(axis=0).sum()
    assert hypervolume(points, np.full(m, 7.0)) == covered


def test_points_beyond_the_reference_add_nothing():
    assert hypervolume(np.array([[2.0, 0.0], [1.0, 3.0]]), np.array([2.0, 2.0])) == 0.0


def test_the_curve_holds_the_hypervolume_after_each_evaluation():
    points = np.random.default_rng(3).normal(size=(50, 2))
    points[7] = np.nan
    reference = np.array([1.0, 1.0])
    expected = [hypervolume(points[: i + 1], reference) for i in range(50)]
    curve = hypervolume_curve(points, reference)
    np.testing.assert_allclose(curve, expected, rtol=1e-12)
    assert (np.diff(curve) >= 0).all()


def test_crowding_is_the_distance_between_neighbours():
    points = np.array([[0.0, 4.0], [1.0, 2.0], [3.0, 1.0], [4.0, 0.0]])
    np.testing.assert_allclose(crowding(points), [np.inf, 3 / 4 + 3 / 4, 3 / 4 + 2 / 4, np.inf])


@pytest.mark.parametrize("n", [0, 1, 2])
def test_few_points_are_all_extreme(n):
    assert (crowding(np.zeros((n, 2))) == np.inf).all()
