"""Routing attention equals its formula, written region by region."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from search_spaces.mixers.attention.routing import RoutingAttention, RoutingOptions


@pytest.mark.parametrize("top", [1, 4])
@pytest.mark.parametrize("regions", [3, 7])
@pytest.mark.parametrize("size", [(9, 6), (5, 8), (2, 2), (1, 1)])
@pytest.mark.parametrize(("width", "heads"), [(20, 1), (48, 3)])
def test_routing_attention_equals_its_formula(
    randomised: Callable[[nn.Module], nn.Module],
    width: int,
    heads: int,
    size: tuple[int, int],
    regions: int,
    top: int,
) -> None:
    own = randomised(RoutingAttention(width, RoutingOptions(regions, top, 16)))
    x = torch.randn(1, width, *size, dtype=torch.float64)
    t = x[0].flatten(1).T  # (N, C)
    q, k, v = own.q(t), own.k(t), own.v(t)
    down, right = -(-size[0] // regions), -(-size[1] // regions)
    members: dict[tuple[int, int], list[int]] = {}
    for n in range(size[0] * size[1]):
        region = n // size[1] // down, n % size[1] // right
        members.setdefault(region, []).append(n)
    y = torch.zeros_like(v)
    for own_members in members.values():
        query = q[own_members].mean(0)
        order = sorted(members.values(), key=lambda other: -(query @ k[other].mean(0)).item())
        seen = [n for other in order[:top] for n in other]
        for head in range(heads):
            part = slice(16 * head, 16 * (head + 1))
            scores = q[own_members, part] @ k[seen, part].T / 4
            y[own_members, part] = scores.softmax(1) @ v[seen, part]
    y = y + own.local(v.T.reshape(1, -1, *size))[0].flatten(1).T
    expected = own.project(y).T.reshape(x.shape)
    torch.testing.assert_close(own(x), expected, rtol=0, atol=1e-10)
