"""Window attention: attention inside square windows, which may be shifted by half their side.

    y = W_o * concat_h softmax(q_h k_h^T / sqrt(d) + B_h) v_h   within each w x w window
    B_h[i, j] = table[h, row(i) - row(j), column(i) - column(j)]        x, y: (B, C, H, W)

A map smaller than the window is one window and is not shifted. A map whose side is no multiple of
the window's is padded with zeros at the bottom and the right.
Elastic: channels and heads (leading), the bias table's offsets (centre window).
Paper: Swin Transformer, Liu et al. 2021, https://arxiv.org/abs/2103.14030 (Section 3.2)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.constants import constants
from search_spaces.family import MIXERS, Family, Options, choice
from search_spaces.layers import attend, heads_of, merge_heads, split_heads


@dataclass(frozen=True)
class WindowOptions(Options):
    """Side of a window, whether windows are shifted by half of it, width of a head."""

    size: int = choice(4, 7, 8, 14, unit="positions")
    shifted: bool = choice(False, True)
    head_dim: int = choice(16, 32, 64, unit="channels", meaning="head width")


class WindowAttention(nn.Module):
    """Multi-head self-attention within windows, with a relative position bias."""

    def __init__(self, dim: int, options: WindowOptions) -> None:
        super().__init__()
        self.size, self.shifted = options.size, options.shifted
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
        batch, _, height, width = x.shape
        side = min(self.size, height, width)
        shift = side // 2 if self.shifted and side < min(height, width) else 0
        x = x.permute(0, 2, 3, 1)  # (B, H, W, C)
        down, right = -height % side, -width % side
        if down or right:
            x = F.pad(x, (0, 0, 0, right, 0, down))
        if shift:
            x = torch.roll(x, (-shift, -shift), (1, 2))
        rows, columns = (height + down) // side, (width + right) // side
        t = x.reshape(batch, rows, side, columns, side, -1).transpose(2, 3)
        t = t.reshape(batch * rows * columns, side * side, -1)  # (B * windows, N, C)

        q, k, v = (split_heads(layer(t), self.heads) for layer in (self.q, self.k, self.v))
        bias = self._bias(side, t)[None]  # (1, heads, N, N)
        if shift:
            mask = _shift_mask(t, rows, columns, side, shift, x.device).to(bias.dtype)
            bias = (bias + mask[:, None]).repeat(batch, 1, 1, 1)  # (B * windows, heads, N, N)
        t = self.project(merge_heads(attend(q, k, v, bias)))

        x = t.reshape(batch, rows, columns, side, side, -1).transpose(2, 3)
        x = x.reshape(batch, rows * side, columns * side, -1)
        if shift:
            x = torch.roll(x, (shift, shift), (1, 2))
        return x[:, :height, :width].permute(0, 3, 1, 2)

    def _bias(self, side: int, x: Tensor) -> Tensor:
        """Relative position bias (heads, N, N) of a window of that side in `x`, N = side**2."""
        centre = self.size - side
        table = self.bias[:, centre : centre + 2 * side - 1, centre : centre + 2 * side - 1]
        index = _offsets(x, side, table.device)
        return table.flatten(1)[:, index].reshape(-1, side**2, side**2)


@constants
def _offsets(side: int, device: torch.device) -> Tensor:
    """Index into a flattened (2 side - 1)**2 table for each pair of positions, (N * N,)."""
    position = torch.arange(side, device=device)
    row, column = position.repeat_interleave(side), position.repeat(side)
    rows = row[:, None] - row[None] + side - 1
    columns = column[:, None] - column[None] + side - 1
    return (rows * (2 * side - 1) + columns).flatten()


@constants
def _shift_mask(rows: int, columns: int, side: int, shift: int, device: torch.device) -> Tensor:
    """-100 between positions that are neighbours only because of the shift, (windows, N, N)."""

    def region(count: int) -> Tensor:
        position = torch.arange(count * side, device=device)
        return (position >= (count - 1) * side).long() + (position >= count * side - shift).long()

    regions = region(rows)[:, None] * 3 + region(columns)[None]  # (H, W)
    windows = regions.reshape(rows, side, columns, side).transpose(1, 2).reshape(-1, side * side)
    return (windows[:, :, None] != windows[:, None]).float() * -100.0


MIXERS.register(
    Family(
        "window",
        WindowOptions,
        WindowAttention,
        paper="https://arxiv.org/abs/2103.14030",
        reference="timm.models.swin_transformer.SwinTransformerBlock",
        nested=("dim",),
    )
)
