"""Inception depthwise convolution: a square, a row and a column kernel on a few channels each.

    x = [x_id, x_sq, x_row, x_col]
    y = [x_id, K_kxk * x_sq, K_1xb * x_row, K_bx1 * x_col]        x, y: (B, C, H, W)

Each branch has an eighth of the channels; the rest pass unchanged.
Elastic: channels of each branch (leading), kernels (centre window).
Paper: InceptionNeXt, Yu et al. 2023, https://arxiv.org/abs/2303.16900 (Section 3.2)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from search_spaces.family import MIXERS, Family, Options, choice

BRANCH_SHARE = 8  # a branch gets dim // 8 channels, the ratio of the paper


@dataclass(frozen=True)
class InceptionDepthwiseOptions(Options):
    """Side of the square kernel and length of the bands."""

    square: int = choice(3, 5, unit="px")
    band: int = choice(7, 9, 11, default=11, unit="px")


class InceptionDepthwise(nn.Module):
    """Three small depthwise branches beside an identity branch."""

    def __init__(self, dim: int, options: InceptionDepthwiseOptions) -> None:
        super().__init__()
        branch, k, b = max(1, dim // BRANCH_SHARE), options.square, options.band
        self.square = nn.Conv2d(branch, branch, k, padding=k // 2, groups=branch)
        self.row = nn.Conv2d(branch, branch, (1, b), padding=(0, b // 2), groups=branch)
        self.column = nn.Conv2d(branch, branch, (b, 1), padding=(b // 2, 0), groups=branch)
        self.split = [dim - 3 * branch, branch, branch, branch]

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        same, square, row, column = torch.split(x, self.split, dim=1)
        branches = (same, self.square(square), self.row(row), self.column(column))
        return torch.cat(branches, dim=1)


MIXERS.register(
    Family(
        "inception_depthwise",
        InceptionDepthwiseOptions,
        InceptionDepthwise,
        paper="https://arxiv.org/abs/2303.16900",
        reference="timm.models.inception_next.InceptionDWConv2d",
        nested=("square", "band"),  # which channels a branch filters depends on the width
    )
)
