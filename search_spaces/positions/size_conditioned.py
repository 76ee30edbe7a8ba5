"""Size-conditioned positions: sines and cosines that span the map, smoothed by a convolution.

    y = x + DW_3(e)        x, y: (B, C, H, W); e: (C, H, W)

    r = 2 pi i / H, c = 2 pi j / W                              i = 1 ... H, j = 1 ... W
    e[2k]     = sin(r / 10000^(4k / C)),  e[2k + 1] = cos(r / 10000^(4k / C))    first half
    e[C/2 + 2k], e[C/2 + 2k + 1]: the same of c                                  second half

The coordinates are shares of the map's sides, so one network runs at every resolution, and what
a position sees changes smoothly with it. This is the global part of ResFormer's positions. Its
local part is a depthwise convolution of the values of attention, as in the mixer `linear`.
With C not divisible by 4, the halves are those of the next multiple, and the rest is cut off.

Elastic: channels (leading). The frequency of a channel depends on C, so a narrow child is not the
wide one with zeros: it shares the convolution's weights alone.
Paper: ResFormer, Tian et al. 2022, https://arxiv.org/abs/2212.00776 (section on global-local
positional embeddings)
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from search_spaces.constants import constants
from search_spaces.family import POSITIONS, Family, Options
from search_spaces.layers import depthwise

TEMPERATURE = 10_000.0


class SizeConditioned(nn.Module):
    """Sines and cosines over the sides of the map, through a depthwise convolution."""

    def __init__(self, dim: int, options: Options) -> None:
        super().__init__()
        self.dim = dim
        self.depthwise = depthwise(dim, 3)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        waves = _waves(x, x.shape[2], x.shape[3], self.dim, x.device).to(x.dtype)
        y: Tensor = x + self.depthwise(waves)
        return y


@constants
def _waves(height: int, width: int, dim: int, device: torch.device) -> Tensor:
    """The waves e of a map, (1, C, H, W) in channels-last memory."""
    pairs = -(-dim // 4)
    exponent = torch.arange(pairs, device=device) / pairs
    frequency = TEMPERATURE**-exponent

    def along(side: int) -> Tensor:
        """Sines and cosines of the coordinates of one side, (side, 2 * pairs)."""
        share = torch.arange(1, side + 1, device=device) / side
        angle = 2 * math.pi * share[:, None] * frequency
        return torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1)

    rows = along(height)[:, None].expand(height, width, 2 * pairs)
    columns = along(width)[None].expand(height, width, 2 * pairs)
    waves = torch.cat([rows, columns], dim=2)[..., :dim]
    return waves[None].contiguous().permute(0, 3, 1, 2)


POSITIONS.register(
    Family(
        "size_conditioned",
        Options,
        SizeConditioned,
        paper="https://arxiv.org/abs/2212.00776",
        nested=(),
    )
)
