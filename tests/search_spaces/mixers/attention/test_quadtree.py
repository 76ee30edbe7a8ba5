"""Quadtree attention equals its equation, written position by position."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest
import torch
from torch import Tensor, nn

from search_spaces.mixers.attention.quadtree import QuadtreeAttention, QuadtreeOptions

Cell = tuple[int, int]


def pyramid(t: Tensor, levels: int) -> list[dict[Cell, Tensor]]:
    """Of each level, the mean of each cell's positions; (rows, columns, d)."""
    found: list[dict[Cell, Tensor]] = []
    for level in range(levels):
        members: dict[Cell, list[Tensor]] = {}
        for i, j in product(range(t.shape[0]), range(t.shape[1])):
            members.setdefault((i >> level, j >> level), []).append(t[i, j])
        found.append({cell: torch.stack(each).mean(0) for cell, each in members.items()})
    return found


def seen(q: Tensor, k: Tensor, v: Tensor, weights: Tensor, top: int) -> Tensor:
    """What each position of a head sees, (rows, columns, d)."""
    levels, y = len(weights), torch.zeros_like(q)
    queries, keys, values = (pyramid(t, levels) for t in (q, k, v))
    for i, j in product(range(q.shape[0]), range(q.shape[1])):
        looks = list(keys[-1])
        for level in reversed(range(levels)):
            query = queries[level][i >> level, j >> level]
            scores = [query @ keys[level][cell] / len(query) ** 0.5 for cell in looks]
            shares = torch.stack(scores).softmax(0)
            for cell, share in zip(looks, shares, strict=True):
                y[i, j] += weights[level] * share * values[level][cell]
            best = sorted(zip(scores, looks, strict=True), reverse=True)[:top]
            children = [
                (2 * a + down, 2 * b + right)
                for _, (a, b) in best
                for down, right in product((0, 1), (0, 1))
            ]
            looks = [cell for cell in children if level and cell in keys[level - 1]]
    return y


@pytest.mark.parametrize(
    ("heads", "levels", "top", "rows", "columns"),
    [(1, 2, 4, 6, 7), (3, 3, 4, 8, 8), (2, 3, 4, 7, 10), (1, 3, 8, 10, 9), (1, 3, 8, 1, 1)],
)
@torch.no_grad()
def test_quadtree_attention_equals_its_equation(
    randomised: Callable[[nn.Module], nn.Module],
    heads: int,
    levels: int,
    top: int,
    rows: int,
    columns: int,
) -> None:
    width = 16 * heads + 4
    own = randomised(QuadtreeAttention(width, QuadtreeOptions(levels, top, 16)))
    x = torch.randn(2, width, rows, columns, dtype=torch.float64)
    expected = torch.empty_like(x)
    for image, positions in enumerate(x.permute(0, 2, 3, 1)):
        q, k, v = (layer(positions).split(16, 2) for layer in (own.q, own.k, own.v))
        parts = [
            seen(q[head], k[head], v[head], own.level.softmax(0), top) for head in range(heads)
        ]
        expected[image] = own.project(torch.cat(parts, 2)).permute(2, 0, 1)
    torch.testing.assert_close(own(x), expected, rtol=0, atol=1e-10)


def test_a_position_does_not_look_closely_where_little_scored() -> None:
    own = QuadtreeAttention(16, QuadtreeOptions(2, 4, 16)).eval()
    x = torch.randn(1, 16, 16, 16, requires_grad=True)
    own(x)[0, :, 0, 0].sum().backward()
    assert x.grad is not None
    slopes = x.grad[0].abs().sum(0)
    cells = slopes.unflatten(0, (8, 2)).unflatten(2, (8, 2)).transpose(1, 2).flatten(2)
    # Positions of a cell that was only seen from afar have one slope, that of their mean.
    alike = (cells - cells[:, :, :1]).abs().amax(2) < 1e-6 * cells.amax()
    assert 64 - 5 <= alike.sum() <= 64 - 4
