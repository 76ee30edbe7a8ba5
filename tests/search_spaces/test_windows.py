"""Windows hold the map's positions, and give the map back."""

from __future__ import annotations

import pytest
import torch

from search_spaces.windows import from_windows, to_windows


@pytest.mark.parametrize("size", [(6, 8), (5, 7), (1, 1)])
def test_windows_put_together_again_are_the_map(size: tuple[int, int]) -> None:
    x = torch.randn(2, *size, 3)
    assert torch.equal(from_windows(to_windows(x, 3, 4), *size), x)


def test_windows_come_row_by_row_and_are_padded_with_zeros() -> None:
    x = torch.arange(1.0, 16.0).reshape(1, 3, 5, 1)
    windows = to_windows(x, 2, 3)[..., 0]
    assert windows.shape == (4, 2, 3)
    assert windows[1].tolist() == [[4, 5, 0], [9, 10, 0]]
    assert windows[2].tolist() == [[11, 12, 13], [0, 0, 0]]
