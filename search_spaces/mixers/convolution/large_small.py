"""Large-small convolution: a large kernel looks, small kernels made from it gather.

    p = relu(BN(W_2 BN(L_k * relu(BN(W_1 x)))))       C / 2 channels, L: depthwise, k x k
    w = GN(W_3 p)                                     3 x 3 entries for each position and group
    y = BN(w (*) x)                                   x, y: (B, C, H, W)

At every position (*) filters each group of 8 channels with that position's kernel of the group.
The last group may lack channels. The block adds the residual connection.
Elastic: channels and groups (leading), the large kernel (centre window).
Paper: LSNet, Wang et al. 2025, https://arxiv.org/abs/2503.23135 (Section 3.2), with the authors'
code; groups are neighbouring channels here
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.family import MIXERS, Family, Options, choice
from search_spaces.layers import PointwiseLinear, depthwise, taps

GROUP = 8  # channels that share a kernel, as in the paper
SIDE = 3  # of the small kernels


@dataclass(frozen=True)
class LargeSmallOptions(Options):
    """Side of the large kernel."""

    kernel: int = choice(5, 7, 9, default=7, unit="px", meaning="depthwise kernel")


class LargeSmall(nn.Module):
    """Large-kernel perception, then aggregation with a small kernel for each position."""

    def __init__(self, dim: int, options: LargeSmallOptions) -> None:
        super().__init__()
        half, self.groups = max(1, dim // 2), -(-dim // GROUP)
        self.reduce = PointwiseLinear(dim, half, bias=False)
        self.norm1 = nn.BatchNorm2d(half)
        self.large = depthwise(half, options.kernel, bias=False)
        self.norm2 = nn.BatchNorm2d(half)
        self.mix = PointwiseLinear(half, half, bias=False)
        self.norm3 = nn.BatchNorm2d(half)
        self.kernels = PointwiseLinear(half, self.groups * SIDE**2)
        self.norm4 = nn.GroupNorm(self.groups, self.groups * SIDE**2)
        self.norm5 = nn.BatchNorm2d(dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        p = self.norm2(self.large(F.relu(self.norm1(self.reduce(x)))))
        p = F.relu(self.norm3(self.mix(p)))
        kernels = self.norm4(self.kernels(p)).permute(0, 2, 3, 1)
        y: Tensor = self.norm5(self._gather(x.permute(0, 2, 3, 1), kernels))
        return y

    def _gather(self, t: Tensor, kernels: Tensor) -> Tensor:
        """(B, H, W, C) and its kernels (B, H, W, groups * 9) -> (B, C, H, W)."""
        dim = t.shape[3]
        weights = torch.unflatten(kernels, 3, (self.groups, 1, SIDE**2)).unbind(5)
        t = F.pad(t, (0, self.groups * GROUP - dim))
        shifted = [torch.unflatten(tap, 3, (self.groups, GROUP)) for tap in taps(t, SIDE)]
        y: Tensor = shifted[0] * weights[0]
        for tap, weight in zip(shifted[1:], weights[1:], strict=True):
            y = torch.addcmul(y, tap, weight)
        return y.flatten(3)[..., :dim].permute(0, 3, 1, 2)


MIXERS.register(
    Family(
        "large_small",
        LargeSmallOptions,
        LargeSmall,
        paper="https://arxiv.org/abs/2503.23135",
        nested=("dim", "kernel"),
    )
)
