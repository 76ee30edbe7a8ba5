"""Hyena: four flipped causal convolutions, position by position."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.mixers.state_space.hyena import Hyena, HyenaOptions, ImplicitFilter


def network(layers: ImplicitFilter, features: list[float]) -> Tensor:
    t = torch.sin(layers.frequency * layers.enter(torch.tensor(features, dtype=torch.float64)))
    return layers.leave(torch.sin(layers.frequency * layers.inner(t)))


def kernel(own: Hyena, row: int, column: int) -> Tensor:
    """The kernel at a distance down and to the right, (C,)."""
    places = (row / 13, column / 13)
    each = [[p, math.cos(2 * math.pi * p), math.sin(2 * math.pi * p)] for p in places]
    if own.plane is not None:
        value = network(own.plane, each[0] + each[1])
    else:
        value = network(own.rows, each[0]) * network(own.columns, each[1])
    falls = own.decay_rows.abs() * places[0] + own.decay_columns.abs() * places[1]
    return value * torch.exp(-falls)


def causal(u: Tensor, own: Hyena) -> Tensor:
    """Each position from those above and to the left of it, itself included, (B, C, H, W)."""
    height, width = u.shape[2:]
    y = u * own.skip[:, None, None]
    for row in range(height):
        for column in range(width):
            h = kernel(own, row, column)[:, None, None]
            moved = F.pad(u, (column, -column, row, -row))
            y = y + h * moved
    return y


@pytest.mark.parametrize("filter", ["product", "joint"])
@pytest.mark.parametrize("size", [(4, 5), (3, 3), (1, 1), (16, 2)])
def test_hyena_equals_four_flipped_causal_convolutions(filter: str, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    own = Hyena(8, HyenaOptions(filter)).double()
    nn.init.normal_(own.directions)
    for name, parameter in own.named_parameters():
        if name.endswith("frequency"):
            nn.init.normal_(parameter, std=3.0)
    x = torch.randn(2, 8, *size, dtype=torch.float64)

    def filtered(layer: nn.Linear, local: nn.Conv2d) -> Tensor:
        t = torch.einsum("oc,bchw->bohw", layer.weight, x) + layer.bias[:, None, None]
        return F.conv2d(t, local.weight, local.bias, padding=1, groups=8)

    u = filtered(own.value, own.local_value) * filtered(own.enter, own.local_enter)
    flips: list[tuple[int, ...]] = [(), (2, 3), (3,), (2,)]
    z = sum(
        weight * causal(u.flip(dims), own).flip(dims)
        for weight, dims in zip(own.directions, flips, strict=True)
    )
    z = z * filtered(own.leave, own.local_leave)
    expected = torch.einsum("oc,bchw->bohw", own.project.weight, z)
    expected = expected + own.project.bias[:, None, None]
    torch.testing.assert_close(own(x), expected, rtol=0, atol=1e-10)
