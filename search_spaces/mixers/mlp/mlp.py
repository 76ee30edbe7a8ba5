"""Window MLP: within a window every position is a learned sum of all of its positions.

    y_h = W_h x_h + b_h        within each w x w window, for each head h of channels
    x, y: (B, C, H, W); W_h: (w^2, w^2), b_h: (w^2)

Shifted windows lie half a window further up and left; what they hold beyond the map is zero, as
is what a map's side lacks to a multiple of the window's. A map smaller than the window is one
window. Channels that do not fill the last head leave the rest of it empty.
Elastic: heads (leading; a head is always `head_dim` wide), windows (centre of larger ones).
Paper: Swin-MLP in Swin Transformer, Liu et al. 2021, https://arxiv.org/abs/2103.14030 (Section
4.4), with the authors' code
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.family import MIXERS, Family, Options, choice
from search_spaces.slicing import Cut, Shape, leading


@dataclass(frozen=True)
class MLPOptions(Options):
    """Side of a window, whether windows are shifted by half of it, channels of a head."""

    size: int = choice(4, 7, unit="positions")
    shifted: bool = choice(False, True)
    head_dim: int = choice(16, 32, unit="channels", meaning="head width")


class WindowMLP(nn.Module):
    """One layer over the positions of a window, another one for each head of channels."""

    def __init__(self, dim: int, options: MLPOptions) -> None:
        super().__init__()
        self.size, self.shifted, self.head_dim = options.size, options.shifted, options.head_dim
        self.heads = -(-dim // self.head_dim)
        side, bound = (self.size, self.size), 1 / self.size  # 1 / sqrt(positions)
        self.weight = nn.Parameter(torch.empty(self.heads, *side, *side))  # rows out, rows in
        self.bias = nn.Parameter(torch.empty(self.heads, *side))
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        batch, dim, height, width = x.shape
        side = min(self.size, height, width)
        before = side - side // 2 if self.shifted and side < min(height, width) else 0
        after = [-(length + before) % side for length in (width, height)]
        inner = self.heads * self.head_dim
        x = F.pad(
            x.permute(0, 2, 3, 1), (0, inner - dim, before, after[0], before, after[1])
        )  # (B, H', W', heads * d)
        rows, columns = x.shape[1] // side, x.shape[2] // side
        windows = x.reshape(batch, rows, side, columns, side, self.heads, self.head_dim)

        start = (self.size - side) // 2
        window = slice(start, start + side)
        weight = self.weight[:, window, window, window, window]
        y = torch.einsum("hijkl,brkclhd->bricjhd", weight, windows)
        y = y + self.bias[:, window, window].permute(1, 2, 0)[:, None, :, :, None]
        y = y.reshape(batch, rows * side, columns * side, inner)
        y = y[:, before : before + height, before : before + width, :dim]
        return y.contiguous().permute(0, 3, 1, 2)


def _cut(name: str, largest: Shape, child: Shape) -> Cut:
    """Leading heads, the centre window in every spatial dimension."""
    steps = leading(largest, child)
    return tuple((dim, (largest[dim] - n) // 2 if dim else 0, n) for dim, _, n in steps)


MIXERS.register(
    Family(
        "mlp",
        MLPOptions,
        WindowMLP,
        paper="https://arxiv.org/abs/2103.14030",
        nested=(),  # the bias of a head that the width does not fill reaches channels beyond it
        cut=_cut,
    )
)
