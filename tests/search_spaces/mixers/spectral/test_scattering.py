"""Scattering: an invertible transform, place by place, and gates in its space."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from search_spaces.mixers.spectral.scattering import (
    Scattering,
    ScatteringOptions,
    gathered,
    scattered,
)

# The near-symmetric filters of Kingsbury's dual tree as they are published, to seven digits.
LOW = [-0.05, 0.25, 0.6, 0.25, -0.05]
HIGH = [0.0107143, -0.0535714, -0.2607143, 0.6071429, -0.2607143, -0.0535714, 0.0107143]
LOW_BACK = [-0.0107143, -0.0535714, 0.2607143, 0.6071429, 0.2607143, -0.0535714, -0.0107143]
HIGH_BACK = [-0.05, -0.25, 0.6, -0.25, -0.05]


def along(row: list[float], taps: list[float]) -> list[float]:
    """A row filtered with taps, mirrored at its ends."""
    count, margin = len(row), len(taps) // 2
    mirrored = row + row[::-1]
    return [
        sum(tap * mirrored[(i + k - margin) % (2 * count)] for k, tap in enumerate(taps))
        for i in range(count)
    ]


def filtered(plane: list[list[float]], rows: list[float], columns: list[float]) -> Tensor:
    """A plane filtered down its columns with `rows` and along its rows with `columns`."""
    down = [along(list(column), rows) for column in zip(*plane, strict=True)]
    across = [along(list(row), columns) for row in zip(*down, strict=True)]
    return torch.tensor(across, dtype=torch.float64)


@pytest.mark.parametrize("size", [(4, 6), (2, 2), (8, 8)])
def test_the_transform_equals_its_definition(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 1, *size, dtype=torch.float64)
    plane = x[0, 0].tolist()
    low, real, imaginary = scattered(x)
    torch.testing.assert_close(low[0, 0], filtered(plane, LOW, LOW), rtol=0, atol=1e-6)
    for band, (rows, columns) in enumerate([(LOW, HIGH), (HIGH, LOW), (HIGH, HIGH)]):
        t = filtered(plane, rows, columns)
        for i in range(size[0] // 2):
            for j in range(size[1] // 2):
                a, b, c, d = t[2 * i : 2 * i + 2, 2 * j : 2 * j + 2].flatten().tolist()
                p, q = complex(a, b) / math.sqrt(2), complex(d, -c) / math.sqrt(2)
                for orientation, value in enumerate((p - q, p + q)):
                    place = (0, orientation, band, 0, i, j)
                    assert complex(real[place], imaginary[place]) == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize("size", [(4, 6), (2, 2), (7, 5), (1, 1)])
def test_the_transform_is_undone_by_its_inverse(size: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    back = gathered(*scattered(x))[..., : size[0], : size[1]]
    torch.testing.assert_close(back, x, rtol=0, atol=1e-10)


@pytest.mark.parametrize("width", [20, 32])
@pytest.mark.parametrize("size", [(8, 6), (5, 7)])
def test_scattering_equals_its_equations(width: int, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    own = Scattering(width, ScatteringOptions()).double()
    for parameter in own.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    x = torch.randn(2, width, *size, dtype=torch.float64)
    even = F.pad(x, (0, size[1] % 2, 0, size[0] % 2), mode="replicate")
    low, real, imaginary = scattered(even)
    gate = F.interpolate(own.low[None], even.shape[2:], mode="bilinear", align_corners=True)
    z = torch.complex(real, imaginary)
    mixed = torch.zeros_like(z)
    for first in range(0, width, 16):
        channels = slice(first, min(width, first + 16))
        count, block = channels.stop - first, first // 16

        def layer(t: Tensor, weights: Tensor, block: int = block, first: int = first) -> Tensor:
            matrix = torch.complex(*weights.weight[:, block])
            shift = torch.complex(*weights.bias[:, first : first + 16])
            t = torch.einsum("boickl,cd->boidkl", t, matrix[: t.shape[3]])
            return t + shift[:, None, None]

        hidden = layer(z[:, :, :, channels], own.enter)
        hidden = torch.complex(hidden.real.relu(), hidden.imag.relu())
        mixed[:, :, :, channels] = layer(hidden, own.leave)[:, :, :, :count]
    y = gathered(low * gate, mixed.real, mixed.imag)[..., : size[0], : size[1]]
    torch.testing.assert_close(own(x), y, rtol=0, atol=1e-10)


def test_low_frequencies_scaled_by_one_and_high_ones_by_nothing_smooth_a_map() -> None:
    own = Scattering(16, ScatteringOptions()).double()
    for parameter in own.parameters():
        torch.nn.init.zeros_(parameter)
    torch.nn.init.ones_(own.low)
    x = torch.randn(1, 16, 6, 6, dtype=torch.float64)
    y = own(x)
    plane = filtered(filtered(x[0, 3].tolist(), LOW, LOW).tolist(), LOW_BACK, LOW_BACK)
    torch.testing.assert_close(y[0, 3], plane, rtol=0, atol=1e-6)
