"""Shifted patches: each patch sees the image and four copies of it, shifted by half a patch.

    y = W norm(P([x, x_1, x_2, x_3, x_4]))      P: patches of p x p, flattened

x_1 to x_4 are x moved by p / 2 to the upper left, upper right, lower left and lower right, with
zeros where nothing is. So a patch has p x p x 5 I numbers, from an area of twice its side. An
image that the patches do not tile is padded with zeros at the bottom and the right first.
(B, I, R, R) -> (B, C, R / p, R / p), rounded up. Elastic: output channels (leading).
Paper: Vision Transformer for Small-Size Datasets, Lee et al. 2021,
https://arxiv.org/abs/2112.13492 (section "Shifted Patch Tokenization")
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.family import STEMS, Family, choice
from search_spaces.layers import PointwiseLinear, channels_last, make_norm
from search_spaces.stems import StemOptions


@dataclass(frozen=True)
class ShiftedPatchOptions(StemOptions):
    """Side of a patch."""

    stride: int = choice(16, 8, 4, 2, default=4, unit="px", meaning="stem stride")


class ShiftedPatch(nn.Module):
    """Patches of an image and of four shifted copies, each projected to a vector."""

    def __init__(self, in_dim: int, dim: int, options: ShiftedPatchOptions, norm: str) -> None:
        super().__init__()
        self.side = options.stride
        numbers = 5 * in_dim * self.side**2
        self.norm = make_norm(norm, numbers)
        self.project = PointwiseLinear(numbers, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, I, R, R) -> (B, C, R / side, R / side)."""
        x = F.pad(x, (0, -x.shape[3] % self.side, 0, -x.shape[2] % self.side))
        patches = F.pixel_unshuffle(torch.cat([x, *shifted(x, self.side // 2)], 1), self.side)
        y: Tensor = self.project(self.norm(channels_last(patches)))
        return y


def shifted(x: Tensor, step: int) -> list[Tensor]:
    """The map moved by `step` to the upper left, upper right, lower left and lower right."""
    up, down = (0, step), (step, 0)
    return [
        F.pad(x, (*across, *along))[
            :,
            :,
            along[1] : along[1] + x.shape[2],
            across[1] : across[1] + x.shape[3],
        ]
        for along in (up, down)
        for across in (up, down)
    ]


STEMS.register(
    Family(
        "shifted_patch",
        ShiftedPatchOptions,
        ShiftedPatch,
        paper="https://arxiv.org/abs/2112.13492",
        nested=(),
    )
)
