"""Outlook attention: a position's own channels give the attention within its k x k surroundings.

    a_i = softmax(W_a x_i / sqrt(d))        k^2 x k^2 weights for each head
    y = W_o fold_i(a_i unfold_i(W_v x))        x, y: (B, C, H, W)

With a stride, x_i is the mean of the positions that it stands for.
Every window gives all of its k^2 positions an output, and overlapping outputs are added.
Elastic: channels and heads (leading).
Paper: VOLO, Yuan et al. 2021, https://arxiv.org/abs/2106.13112 (Section 3.1)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.family import MIXERS, Family, Options, choice
from search_spaces.layers import heads_of, maps, tokens

SIDE = 3  # of a window, as in every published model
AREA = SIDE**2


@dataclass(frozen=True)
class OutlookOptions(Options):
    """Distance between windows, width of a head."""

    stride: int = choice(2, 1, unit="px")
    head_dim: int = choice(16, 32, 64, unit="channels", meaning="head width")


class OutlookAttention(nn.Module):
    """Attention weights from a linear layer instead of from queries and keys."""

    def __init__(self, dim: int, options: OutlookOptions) -> None:
        super().__init__()
        self.stride, self.head_dim = options.stride, options.head_dim
        self.heads = heads_of(dim, options.head_dim)
        inner = self.heads * options.head_dim
        self.v = nn.Linear(dim, inner)
        self.weights = nn.Linear(dim, self.heads * AREA**2)
        self.project = nn.Linear(inner, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        batch, _, height, width = x.shape
        centres = x
        if self.stride > 1:
            centres = F.avg_pool2d(x, self.stride, self.stride, ceil_mode=True)
        a = self.weights(tokens(centres)) * self.head_dim**-0.5
        a = a.reshape(batch, -1, self.heads, AREA, AREA).transpose(1, 2).softmax(-1)

        v = maps(self.v(tokens(x)), height, width)
        v = F.unfold(v, SIDE, padding=SIDE // 2, stride=self.stride)
        v = v.reshape(batch, self.heads, self.head_dim, AREA, -1).permute(0, 1, 4, 3, 2)
        y = (a @ v).permute(0, 1, 4, 3, 2)  # (B, heads, head_dim, area, windows)
        y = y.reshape(batch, self.heads * self.head_dim * AREA, -1)
        y = F.fold(y, (height, width), SIDE, padding=SIDE // 2, stride=self.stride)
        return maps(self.project(tokens(y)), height, width)


MIXERS.register(
    Family(
        "outlook",
        OutlookOptions,
        OutlookAttention,
        paper="https://arxiv.org/abs/2106.13112",
        reference="timm.models.volo.OutlookAttention",
        nested=("dim",),
    )
)
