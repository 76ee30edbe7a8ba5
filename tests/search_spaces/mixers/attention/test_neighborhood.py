"""Neighborhood attention equals its definition, written query by query."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from search_spaces.mixers.attention.neighborhood import (
    NeighborhoodAttention,
    NeighborhoodOptions,
)


def start_of(i: int, length: int, size: int, dilation: int) -> int:
    """First position that position i looks at: the index rule of the authors' NATTEN."""
    radius = size // 2
    if i - radius * dilation < 0:
        return i % dilation
    if i + radius * dilation >= length:
        rest, whole = i % dilation, length // dilation * dilation
        if rest < length - whole:
            return whole + rest - 2 * radius * dilation
        return whole + rest - size * dilation
    return i - radius * dilation


def neighbours(i: int, length: int, size: int, dilation: int) -> list[int]:
    if length < size * dilation:  # NATTEN refuses such maps: all there are, at most `size` of them
        group = list(range(i % dilation, length, dilation))
        first = max(0, min(group.index(i) - size // 2, len(group) - size))
        return group[first : first + size]
    start = start_of(i, length, size, dilation)
    return list(range(start, start + size * dilation, dilation))


def expected(own: NeighborhoodAttention, x: Tensor, size: int, dilation: int) -> Tensor:
    height, width = x.shape[2:]
    q, k, v = (
        layer(x.permute(0, 2, 3, 1)).unflatten(3, (-1, 16)) for layer in (own.q, own.k, own.v)
    )
    y = torch.empty_like(q)
    for i in range(height):
        for j in range(width):
            scores, values = [], []
            for row in neighbours(i, height, size, dilation):
                for column in neighbours(j, width, size, dilation):
                    down, right = (row - i) // dilation, (column - j) // dilation
                    score = (q[:, i, j] * k[:, row, column]).sum(2) / 4
                    scores.append(score + own.bias[:, down + size - 1, right + size - 1])
                    values.append(v[:, row, column])
            weights = torch.stack(scores).softmax(0)
            y[:, i, j] = (weights[..., None] * torch.stack(values)).sum(0)
    return own.project(y.flatten(3)).permute(0, 3, 1, 2)


@pytest.mark.parametrize("size", [3, 7])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("shape", [(9, 8), (14, 15), (5, 3), (1, 1)])
@pytest.mark.parametrize("width", [20, 48])
def test_neighborhood_attention_equals_its_definition(
    randomised: Callable[[nn.Module], nn.Module],
    width: int,
    shape: tuple[int, int],
    dilation: int,
    size: int,
) -> None:
    own = randomised(NeighborhoodAttention(width, NeighborhoodOptions(size, dilation, 16)))
    x = torch.randn(2, width, *shape, dtype=torch.float64)
    y = expected(own, x, size, dilation)
    torch.testing.assert_close(own(x), y, rtol=0, atol=1e-10)
