"""Multi-dilation convolution: a near and a wide filter beside each other, each with a gate.

    u = W_in x,  u = u + g (u - mean(u))        C / 2 channels
    near = gelu(BN(K_3 * u)),  wide = gelu(BN(L_3,d * M_3,d * u))    d: dilation
    y = W_out [se(near), se(wide)]              x, y: (B, C, H, W)

The wide filter is two kernels of dilation d in a row. As in the paper's networks all kernels are
dense in early stages (`dense`) and filter each channel on its own in late ones (`depthwise`).
Elastic: channels (leading).
Paper: SpaRTAN, Pay et al. 2025, https://arxiv.org/abs/2507.10999 (Section 3)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.family import MIXERS, Family, Options, choice
from search_spaces.layers import PointwiseLinear
from search_spaces.mixers.convolution.mbconv import SqueezeExcite

INITIAL_DETAIL = 1e-5  # of the learned weight g of what differs from the map's mean


@dataclass(frozen=True)
class MultiDilationOptions(Options):
    """Kind of the kernels, dilation of the wide ones."""

    kernels: str = choice("depthwise", "dense")
    dilation: int = choice(2, 3, unit="px")


class Filters(nn.Module):
    """The near and the wide filter of a map."""

    def __init__(self, dim: int, groups: int, dilation: int) -> None:
        super().__init__()

        def conv(step: int) -> nn.Conv2d:
            return nn.Conv2d(dim, dim, 3, padding=step, dilation=step, groups=groups, bias=False)

        self.near, self.near_norm = conv(1), nn.BatchNorm2d(dim)
        self.wide1, self.wide2, self.wide_norm = (
            conv(dilation),
            conv(dilation),
            nn.BatchNorm2d(dim),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, H, W) -> twice (B, C, H, W)."""
        near = F.gelu(self.near_norm(self.near(x)))
        return near, F.gelu(self.wide_norm(self.wide2(self.wide1(x))))


class MultiDilation(nn.Module):
    """SpaRTAN's spatial mixer; the two halves of its output projection are separate matrices."""

    def __init__(self, dim: int, options: MultiDilationOptions) -> None:
        super().__init__()
        half = dim // 2
        self.kernels = options.kernels
        self.reduce = PointwiseLinear(dim, half)
        self.detail = nn.Parameter(torch.full((half,), INITIAL_DETAIL))
        groups = half if self.kernels == "depthwise" else 1
        # Dense and depthwise kernels share no weights, so they have different names.
        self.filters = nn.ModuleDict({self.kernels: Filters(half, groups, options.dilation)})
        self.excite_near = SqueezeExcite(half, max(1, half // 4), "relu")
        self.excite_wide = SqueezeExcite(half, max(1, half // 4), "relu")
        self.project_near = PointwiseLinear(half, dim)
        self.project_wide = PointwiseLinear(half, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        u = self.reduce(x)
        u = u + self.detail[:, None, None] * (u - u.mean((2, 3), keepdim=True))
        near, wide = self.filters[self.kernels](u)
        y: Tensor = self.project_near(self.excite_near(near))
        y = y + self.project_wide(self.excite_wide(wide))
        return y


MIXERS.register(
    Family(
        "multi_dilation",
        MultiDilationOptions,
        MultiDilation,
        paper="https://arxiv.org/abs/2507.10999",
        nested=("dim",),
    )
)
