"""Cutting a map into windows that do not overlap, and putting them together again."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def to_windows(x: Tensor, rows: int, columns: int) -> Tensor:
    """(B, H, W, C) -> (B * windows, rows, columns, C).

    A map that the windows do not tile is padded with zeros at the bottom and the right.
    """
    batch, height, width, dim = x.shape
    down, right = -height % rows, -width % columns
    if down or right:
        x = F.pad(x, (0, 0, 0, right, 0, down))
    tiles = (height + down) // rows, (width + right) // columns
    x = x.reshape(batch, tiles[0], rows, tiles[1], columns, dim).transpose(2, 3)
    return x.reshape(batch * tiles[0] * tiles[1], rows, columns, dim)


def from_windows(x: Tensor, height: int, width: int) -> Tensor:
    """(B * windows, rows, columns, C) -> (B, H, W, C); what was padded is cut off."""
    rows, columns, dim = x.shape[1:]
    tiles = -(-height // rows), -(-width // columns)
    x = x.reshape(-1, tiles[0], tiles[1], rows, columns, dim).transpose(2, 3)
    x = x.reshape(-1, tiles[0] * rows, tiles[1] * columns, dim)
    return x[:, :height, :width]
