"""Aggregated attention: one softmax over a position's neighbours and a pooled map.

    q = (n(W_q x) + e) * softplus(t) * log(neighbours + pooled)        n(u) = u / |u|
    z = LN(avgpool_r(gelu(W_z x)))
    a = softmax([q . n(k_j(x)) + b_j, q . n(k_m(z)) + MLP(i - m)])        j: 3 x 3 around i, m: all
    y = W_o * concat_h ((a_near + n(W_q x) T + c) v_j(x) + a_pooled v_m(z))
    x, y: (B, C, H, W)

T and c, learned tokens and a bias for each of the 3 x 3 offsets, and e, an embedding of every
query, do not depend on the map. The MLP sees offsets on a logarithmic scale; they are relative to
the map's sides, so that it serves maps of every size. What lies outside the map is masked.
Elastic: channels and heads (leading).
Paper: TransNeXt, Shi 2023, https://arxiv.org/abs/2311.17132 (Section 3.1)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.constants import constants
from search_spaces.family import MIXERS, Family, Options, choice
from search_spaces.layers import heads_of, maps, merge_heads, split_heads, tokens

SIDE = 3  # of the neighbourhood, as in every published model
AREA = SIDE**2
HIDDEN = 512  # of the MLP over offsets
TEMPERATURE = 1 / 0.24  # at the start


@dataclass(frozen=True)
class AggregatedOptions(Options):
    """By how much the pooled map is reduced along each side, width of a head."""

    ratio: int = choice(8, 4, 2, default=4)
    head_dim: int = choice(16, 32, unit="channels", meaning="head width")


class AggregatedAttention(nn.Module):
    """Attention with a sharp centre and a coarse surround."""

    def __init__(self, dim: int, options: AggregatedOptions) -> None:
        super().__init__()
        self.ratio = options.ratio
        self.heads = heads_of(dim, options.head_dim)
        inner = self.heads * options.head_dim
        self.q = nn.Linear(dim, inner)
        self.k = nn.Linear(dim, inner)
        self.v = nn.Linear(dim, inner)
        self.project = nn.Linear(inner, dim)
        self.pool = nn.Linear(dim, dim)
        self.norm = nn.LayerNorm(dim)
        self.position = nn.Linear(2, HIDDEN)
        self.position_bias = nn.Linear(HIDDEN, self.heads)
        start = math.log(math.expm1(TEMPERATURE))
        self.temperature = nn.Parameter(torch.full((self.heads,), start))
        self.query = nn.Parameter(torch.empty(inner))
        self.near_bias = nn.Parameter(torch.empty(self.heads, AREA))
        self.token = nn.Parameter(torch.empty(inner, AREA))
        self.token_bias = nn.Parameter(torch.zeros(self.heads, AREA))
        for weight in (self.query, self.token):
            nn.init.normal_(weight, std=0.02)
        nn.init.normal_(self.near_bias, std=0.0004)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        height, width = x.shape[2:]
        pooled = max(1, height // self.ratio), max(1, width // self.ratio)
        t = tokens(x)
        z = F.gelu(self.pool(t))
        z = self.norm(tokens(F.adaptive_avg_pool2d(maps(z, height, width), pooled)))
        unit = F.normalize(split_heads(self.q(t), self.heads), dim=3)  # (B, heads, N, d)
        temperature = F.softplus(self.temperature)[:, None, None]
        q = unit + self.query.reshape(self.heads, 1, -1)
        q = q * temperature * self._length(x, pooled)

        k = self._surroundings(F.normalize(split_heads(self.k(t), self.heads), dim=3), x)
        v = self._surroundings(split_heads(self.v(t), self.heads), x)  # (B, heads, N, d, 9)
        near = (q[:, :, :, None] @ k)[:, :, :, 0] + self.near_bias[:, None]
        near = near.masked_fill(~_there(x, height, width, x.device), float("-inf"))
        k = F.normalize(split_heads(self.k(z), self.heads), dim=3)
        far = q @ k.transpose(2, 3) + self._far_bias(x, pooled)
        weights = torch.cat((near, far), 3).softmax(3)
        near, far = torch.split(weights, [AREA, far.shape[3]], 3)
        near = near + unit @ self.token.reshape(self.heads, -1, AREA) + self.token_bias[:, None]
        y = (v @ near[..., None])[..., 0] + far @ split_heads(self.v(z), self.heads)
        return maps(self.project(merge_heads(y)), height, width)

    def _length(self, x: Tensor, pooled: tuple[int, int]) -> Tensor:
        """Logarithm of how many keys each position has, (N, 1)."""
        there = _there(x, x.shape[2], x.shape[3], x.device).sum(1, keepdim=True)
        wide = torch.promote_types(x.dtype, torch.float32)
        return torch.log((there + pooled[0] * pooled[1]).to(wide)).to(x.dtype)

    def _surroundings(self, t: Tensor, x: Tensor) -> Tensor:
        """The 3 x 3 positions around each one, (B, heads, N, d) -> (B, heads, N, d, 9)."""
        height, width = x.shape[2:]
        m = F.unfold(maps(merge_heads(t), height, width), SIDE, padding=SIDE // 2)
        m = m.reshape(-1, self.heads, t.shape[3], AREA, height * width)
        return m.permute(0, 1, 4, 2, 3)

    def _far_bias(self, x: Tensor, pooled: tuple[int, int]) -> Tensor:
        """Bias of each position towards each pooled one, (heads, N, pooled)."""
        wide = torch.promote_types(x.dtype, torch.float32)
        sides = x.shape[2], x.shape[3]
        offsets = _offsets(x, sides, pooled, x.device, wide).to(x.dtype)
        index = _index(x, sides, pooled, x.device)
        table: Tensor = self.position_bias(torch.relu(self.position(offsets)))  # (offsets, heads)
        return table.T[:, index.flatten()].reshape(self.heads, *index.shape)


@constants
def _there(height: int, width: int, device: torch.device) -> Tensor:
    """Which of the 3 x 3 positions around each one lie on the map, (N, 9)."""
    ones = torch.ones((1, 1, height, width), device=device)
    return F.unfold(ones, SIDE, padding=SIDE // 2)[0].T > 0


def _axis(side: int, pooled: int) -> tuple[list[float], list[list[int]]]:
    """Distinct offsets on a logarithmic scale, and which one each pair of positions has.

    Offsets lead from the middle of a pooled position; the map's side is 8 long.
    """
    starts = [i * side // pooled for i in range(pooled)]
    ends = [-(-(i + 1) * side // pooled) for i in range(pooled)]
    # Twice the offset is a whole number.
    twice = [[2 * i - (a + b - 1) for a, b in zip(starts, ends, strict=True)] for i in range(side)]
    distinct = sorted({offset for row in twice for offset in row})
    scaled = [4 * offset / max(1, side - 1) for offset in distinct]
    values = [math.copysign(math.log2(abs(offset) + 1) / 3, offset) for offset in scaled]
    return values, [[distinct.index(offset) for offset in row] for row in twice]


@constants
def _offsets(
    sides: tuple[int, int], pooled: tuple[int, int], device: torch.device, dtype: torch.dtype
) -> Tensor:
    """All pairs of distinct offsets along the two axes, (offsets, 2)."""
    down, right = (
        torch.tensor(_axis(side, count)[0], device=device, dtype=dtype)
        for side, count in zip(sides, pooled, strict=True)
    )
    rows = down.repeat_interleave(right.shape[0])
    return torch.stack((rows, right.repeat(down.shape[0])), 1)


@constants
def _index(sides: tuple[int, int], pooled: tuple[int, int], device: torch.device) -> Tensor:
    """Which pair of offsets leads from each pooled position to each one, (N, pooled)."""
    (_, down), (values, right) = (
        _axis(side, count) for side, count in zip(sides, pooled, strict=True)
    )
    rows = torch.tensor(down, device=device)[:, None, :, None]
    columns = torch.tensor(right, device=device)[None, :, None]
    return (rows * len(values) + columns).reshape(sides[0] * sides[1], pooled[0] * pooled[1])


MIXERS.register(
    Family(
        "aggregated",
        AggregatedOptions,
        AggregatedAttention,
        paper="https://arxiv.org/abs/2311.17132",
        nested=(),  # the norm of the pooled map averages over channels
    )
)
