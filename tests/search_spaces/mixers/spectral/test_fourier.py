"""Fourier mixing equals the sums that define the transform."""

from __future__ import annotations

import cmath
import math

import pytest
import torch
from torch import Tensor

from search_spaces.mixers.spectral.fourier import Fourier, FourierOptions


def matrix(size: int) -> Tensor:
    """The Fourier matrix, entry by entry."""
    entries = [[cmath.exp(-2j * math.pi * i * k / size) for k in range(size)] for i in range(size)]
    return torch.tensor(entries, dtype=torch.complex128)


@pytest.mark.parametrize("size", [(3, 4), (5, 5), (1, 1)])
def test_a_sequence_is_transformed_along_positions_and_channels(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 6, *size, dtype=torch.float64)
    t = x.flatten(2).transpose(1, 2).to(torch.complex128)  # (B, N, C)
    count = size[0] * size[1]
    y = torch.einsum("nm,bmc,dc->bnd", matrix(count), t, matrix(6)).real / math.sqrt(count * 6)
    expected = y.transpose(1, 2).reshape(x.shape)
    own = Fourier(6, FourierOptions("sequence"))
    torch.testing.assert_close(own(x), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("size", [(3, 4), (5, 5), (1, 1)])
def test_a_plane_is_transformed_along_rows_columns_and_channels(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 6, *size, dtype=torch.float64)
    matrices = (matrix(6), matrix(size[0]), matrix(size[1]))
    y = torch.einsum("dc,ih,jw,bchw->bdij", *matrices, x.to(torch.complex128)).real
    expected = y / math.sqrt(6 * size[0] * size[1])
    own = Fourier(6, FourierOptions("plane"))
    torch.testing.assert_close(own(x), expected, rtol=0, atol=1e-10)
