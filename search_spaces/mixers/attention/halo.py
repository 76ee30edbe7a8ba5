"""Halo attention: blocks of queries look at their block and a rim of positions around it.

    y = W_o concat_h softmax(q_h k_h^T / sqrt(d) + q_h . (R_dy + C_dx)) v_h
    within the block and its halo; dy, dx: from the query to the key        x, y: (B, C, H, W)

The map is surrounded by keys and values of zero, also where blocks do not tile it. A map smaller
than a block is one block. The output projection is ours: HaloNet has a convolution there.
Elastic: channels and heads (leading), the tables R and C of offsets (centre).
Paper: HaloNet, Vaswani et al. 2021, https://arxiv.org/abs/2103.12731 (Section 2)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.constants import constants
from search_spaces.family import MIXERS, Family, Options, choice
from search_spaces.layers import attend, heads_of, merge_heads, split_heads
from search_spaces.windows import from_windows, to_windows


@dataclass(frozen=True)
class HaloOptions(Options):
    """Side of a block, width of the rim around it, width of a head."""

    block: int = choice(4, 8, unit="positions")
    halo: int = choice(1, 3, unit="positions")
    head_dim: int = choice(16, 32, unit="channels", meaning="head width")


class HaloAttention(nn.Module):
    """Blocked local attention with relative positions."""

    def __init__(self, dim: int, options: HaloOptions) -> None:
        super().__init__()
        self.block, self.halo, self.head_dim = options.block, options.halo, options.head_dim
        self.heads = heads_of(dim, options.head_dim)
        inner = self.heads * options.head_dim
        self.q = nn.Linear(dim, inner)
        self.k = nn.Linear(dim, inner)
        self.v = nn.Linear(dim, inner)
        self.project = nn.Linear(inner, dim)
        offsets = 2 * (self.block + self.halo) - 1
        self.rows = nn.Parameter(torch.empty(options.head_dim, offsets, 1))
        self.columns = nn.Parameter(torch.empty(options.head_dim, 1, offsets))
        for table in (self.rows, self.columns):
            nn.init.trunc_normal_(table, std=options.head_dim**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        height, width = x.shape[2:]
        side = min(self.block, height, width)
        x = x.permute(0, 2, 3, 1)
        q = split_heads(to_windows(self.q(x), side, side).flatten(1, 2), self.heads)
        k = split_heads(self._surroundings(self.k(x), side), self.heads)
        v = split_heads(self._surroundings(self.v(x), side), self.heads)
        y = attend(q, k, v, self._bias(q, side))
        y = self.project(merge_heads(y)).reshape(-1, side, side, x.shape[3])
        return from_windows(y, height, width).permute(0, 3, 1, 2)

    def _surroundings(self, t: Tensor, side: int) -> Tensor:
        """(B, H, W, inner) -> (B * blocks, (side + 2 halo)^2, inner)."""
        down, right = -t.shape[1] % side, -t.shape[2] % side
        halo, window = self.halo, side + 2 * self.halo
        t = F.pad(t, (0, 0, halo, halo + right, halo, halo + down))
        t = t.unfold(1, window, side).unfold(2, window, side)  # (B, rows, columns, inner, w, w)
        return t.permute(0, 1, 2, 4, 5, 3).reshape(-1, window**2, t.shape[3])

    def _bias(self, q: Tensor, side: int) -> Tensor:
        """Scores of relative positions, (B * blocks, heads, side^2, window^2)."""
        offsets = _offsets(q, side, self.halo, self.block - side, q.device)
        table: Tensor = self.rows
        rows = table[:, :, 0][:, offsets]  # (d, side, window)
        table = self.columns
        columns = table[:, 0][:, offsets]
        grid = q.reshape(-1, self.heads, side, side, self.head_dim)
        down = torch.einsum("bhrcd,drw->bhrcw", grid, rows)[..., :, None]
        right = torch.einsum("bhrcd,dcw->bhrcw", grid, columns)[..., None, :]
        return (down + right).flatten(4).flatten(2, 3)


@constants
def _offsets(side: int, halo: int, skipped: int, device: torch.device) -> Tensor:
    """Entries of a table of offsets along one axis, (side, side + 2 halo)."""
    query = torch.arange(side, device=device)
    key = torch.arange(side + 2 * halo, device=device)
    return key[None] - query[:, None] + side - 1 + skipped


MIXERS.register(
    Family(
        "halo",
        HaloOptions,
        HaloAttention,
        paper="https://arxiv.org/abs/2103.12731",
        reference="timm.layers.halo_attn.HaloAttn",
        nested=("dim",),
    )
)
