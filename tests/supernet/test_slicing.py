"""Cuts are leading in channels and central in space."""

from __future__ import annotations

import pytest
import torch

from search_spaces.slicing import central, leading
from supernet.slicing import union, view


def test_channels_are_leading_and_kernels_central() -> None:
    weight = torch.arange(4 * 3 * 5 * 5).reshape(4, 3, 5, 5)
    part = view(weight, central((4, 3, 5, 5), (2, 3, 3, 3)))
    assert torch.equal(part, weight[:2, :, 1:4, 1:4])


def test_tables_of_three_dimensions_are_central_in_the_last_two() -> None:
    table = torch.arange(3 * 7 * 7).reshape(3, 7, 7)
    assert torch.equal(view(table, central((3, 7, 7), (2, 5, 5))), table[:2, 1:6, 1:6])


def test_matrices_and_vectors_are_leading() -> None:
    matrix = torch.arange(12).reshape(3, 4)
    assert torch.equal(view(matrix, central((3, 4), (2, 3))), matrix[:2, :3])
    assert central((5,), (5,)) == ()


def test_one_matrix_for_each_group_may_be_cut_from_its_leading_entries() -> None:
    weight = torch.arange(3 * 4 * 6).reshape(3, 4, 6)
    assert torch.equal(view(weight, leading((3, 4, 6), (2, 2, 3))), weight[:2, :2, :3])


def test_a_view_shares_memory_and_passes_gradients_to_the_whole() -> None:
    weight = torch.zeros(4, 4, requires_grad=True)
    view(weight, central((4, 4), (2, 2))).sum().backward()
    assert weight.grad is not None
    assert weight.grad.sum() == 4
    assert view(weight, central((4, 4), (2, 2))).data_ptr() == weight.data_ptr()


@pytest.mark.parametrize(("largest", "child"), [((4, 4), (5, 4)), ((4, 4), (4,))])
def test_what_does_not_fit_is_refused(largest: tuple[int, ...], child: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"of shape .* does not fit into one of shape"):
        central(largest, child)


def test_a_union_holds_every_shape() -> None:
    assert union([(4, 1, 3, 3), (2, 1, 5, 5)]) == (4, 1, 5, 5)
