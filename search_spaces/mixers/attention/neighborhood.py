"""Neighborhood attention: each position looks at the k x k positions nearest to it.

    y_i = W_o * concat_h softmax_j(q_i k_j^T / sqrt(d) + B_h[j - i]) v_j,  j in N(i)
    N(i): k x k window around i, moved inside the map; with dilation e, of every e-th position only
    x, y: (B, C, H, W)

If a map has fewer than k such positions along an axis, N(i) has all of them. Queries are
computed in tiles of 4 x 4, together with all positions that one of them looks at.
Elastic: channels and heads (leading), the bias table's offsets (centre window).
Papers: Neighborhood Attention Transformer, Hassani et al. 2022, https://arxiv.org/abs/2204.07143
(Section 3.1); dilation Hassani and Shi 2022, https://arxiv.org/abs/2209.15001; tiles Hassani et
al. 2024, https://arxiv.org/abs/2403.04690
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from search_spaces.constants import constants
from search_spaces.family import MIXERS, Family, Options, choice
from search_spaces.layers import attend, heads_of

TILE = 4  # queries along each side that share their keys


@dataclass(frozen=True)
class NeighborhoodOptions(Options):
    """Side of the neighborhood, distance between its positions, width of a head."""

    size: int = choice(3, 7, unit="positions")
    dilation: int = choice(1, 2, unit="positions")
    head_dim: int = choice(16, 32, unit="channels", meaning="head width")


class NeighborhoodAttention(nn.Module):
    """Sliding-window attention with as many neighbours at the edges as inside."""

    def __init__(self, dim: int, options: NeighborhoodOptions) -> None:
        super().__init__()
        self.size, self.dilation = options.size, options.dilation
        self.head_dim = options.head_dim
        self.heads = heads_of(dim, options.head_dim)
        inner = self.heads * options.head_dim
        self.q = nn.Linear(dim, inner)
        self.k = nn.Linear(dim, inner)
        self.v = nn.Linear(dim, inner)
        self.project = nn.Linear(inner, dim)
        offsets = 2 * self.size - 1
        self.bias = nn.Parameter(torch.empty(self.heads, offsets, offsets))
        nn.init.trunc_normal_(self.bias, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        height, width = x.shape[2:]
        plan = _plan(x, height, width, self.size, self.dilation, x.device)
        x = x.permute(0, 2, 3, 1)
        q = self._tiles(self.q(x), plan.queries)
        k, v = self._tiles(self.k(x), plan.keys), self._tiles(self.v(x), plan.keys)
        table: Tensor = self.bias
        outside = table.new_full((self.heads, 1), float("-inf"))
        bias = torch.cat((table.flatten(1), outside), 1)[:, plan.offsets.flatten()]
        bias = bias.reshape(self.heads, *plan.offsets.shape).transpose(0, 1).flatten(0, 1)
        # Tiles stand beside the heads, so that all samples share the bias.
        y = attend(q, k, v, bias[None])
        merged: Tensor = self.project(self._merged(y, plan))
        return merged.permute(0, 3, 1, 2)

    def _tiles(self, t: Tensor, at: tuple[Tensor, Tensor]) -> Tensor:
        """Positions of (B, H, W, inner) as (B, tiles * heads, rows * columns, d)."""
        (tiles_down, rows), (tiles_right, columns) = (each.shape for each in at)
        t = t[:, at[0].flatten()][:, :, at[1].flatten()]
        t = t.reshape(-1, tiles_down, rows, tiles_right, columns, self.heads, self.head_dim)
        t = t.permute(0, 1, 3, 5, 2, 4, 6)
        return t.reshape(-1, tiles_down * tiles_right * self.heads, rows * columns, self.head_dim)

    def _merged(self, y: Tensor, plan: Plan) -> Tensor:
        """The outputs of `_tiles`' queries as (B, H, W, inner)."""
        (tiles_down, rows), (tiles_right, columns) = (each.shape for each in plan.queries)
        y = y.reshape(-1, tiles_down, tiles_right, self.heads, rows, columns, self.head_dim)
        y = y.permute(0, 1, 4, 2, 5, 3, 6)
        y = y.reshape(-1, tiles_down * rows, tiles_right * columns, self.heads * self.head_dim)
        return y[:, plan.places[0]][:, :, plan.places[1]]


class Axis(NamedTuple):
    """How the positions of one axis are attended, tile by tile."""

    queries: list[list[int]]
    """Positions of each tile's queries; the last position again where a tile is not full."""
    keys: list[list[int]]
    """Positions that a tile's queries look at."""
    offsets: list[list[list[int]]]
    """Offset from each query to each key, from 0; -1 where the query does not look there."""
    places: list[int]
    """Of each position among all queries."""


class Plan(NamedTuple):
    """The same for a map."""

    queries: tuple[Tensor, Tensor]
    keys: tuple[Tensor, Tensor]
    offsets: Tensor
    """Entry of the bias table and a last one for what is not seen, (tiles, queries, keys)."""
    places: tuple[Tensor, Tensor]


@constants
def _plan(height: int, width: int, size: int, dilation: int, device: torch.device) -> Plan:
    rows, columns = _axis(height, size, dilation), _axis(width, size, dilation)

    def both(down: list[Any], right: list[Any]) -> tuple[Tensor, Tensor]:
        return torch.tensor(down, device=device), torch.tensor(right, device=device)

    down, right = both(rows.offsets, columns.offsets)
    down, right = down[:, None, :, None, :, None], right[None, :, None, :, None]
    side = 2 * size - 1
    entries = (down * side + right).masked_fill((down < 0) | (right < 0), side**2)
    return Plan(
        both(rows.queries, columns.queries),
        both(rows.keys, columns.keys),
        entries.flatten(4).flatten(2, 3).flatten(0, 1),
        both(rows.places, columns.places),
    )


def _axis(length: int, size: int, dilation: int) -> Axis:
    longest = -(-length // dilation)  # positions that are a dilation apart
    tile, reach = min(TILE, longest), min(TILE + size - 1, longest)
    axis = Axis([], [], [], [0] * length)
    for first in range(min(dilation, length)):
        group = range(first, length, dilation)
        last, window = len(group) - 1, min(size, len(group))
        for start in range(0, longest, tile):
            queries = [min(start + i, last) for i in range(tile)]
            begin = max(0, min(start - size // 2, len(group) - reach))
            keys = range(begin, begin + reach)
            for place, position in enumerate(group[start : start + tile]):
                axis.places[position] = tile * len(axis.queries) + place
            windows = [max(0, min(query - size // 2, len(group) - window)) for query in queries]
            axis.offsets.append(
                [
                    [key - query + size - 1 if low <= key < low + window else -1 for key in keys]
                    for query, low in zip(queries, windows, strict=True)
                ]
            )
            axis.queries.append([group[query] for query in queries])
            axis.keys.append([group[min(key, last)] for key in keys])
    return axis


MIXERS.register(
    Family(
        "neighborhood",
        NeighborhoodOptions,
        NeighborhoodAttention,
        paper="https://arxiv.org/abs/2204.07143",
        nested=("dim",),
    )
)
