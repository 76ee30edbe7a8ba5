"""Recursive gated convolution: products of a map and filtered maps, up to an order n.

    q_k = DW(W_k x) / 3,  p = V x        q_k: C / 2^k channels, p as many as q_{n-1}
    p = p * q_{n-1};  p = (U_k p) * q_k  for k = n-2, ..., 0
    y = W_out p        x, y: (B, C, H, W)

Each step doubles the channels and adds one order of interaction between positions.
Elastic: channels of every step (leading), kernel (centre window).
Paper: HorNet, Rao et al. 2022, https://arxiv.org/abs/2207.14284 (Section 3.1)
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from search_spaces.family import MIXERS, Family, Options, choice
from search_spaces.layers import PointwiseLinear, depthwise

SCALE = 1 / 3  # of the filtered maps in all of the paper's networks; it keeps products in range


@dataclass(frozen=True)
class GatedConvOptions(Options):
    """Order of the interactions, side of the kernel."""

    order: int = choice(2, 3, 4, 5)
    kernel: int = choice(3, 7, default=7, unit="px", meaning="depthwise kernel")


class GatedConv(nn.Module):
    """HorNet's gnConv, with one projection and one filter for each step."""

    def __init__(self, dim: int, options: GatedConvOptions) -> None:
        super().__init__()
        widths = [max(1, dim // 2**k) for k in range(options.order)]  # the last step's first
        self.start = PointwiseLinear(dim, widths[-1])
        self.features = nn.ModuleList(PointwiseLinear(dim, width) for width in widths)
        self.filters = nn.ModuleList(depthwise(width, options.kernel) for width in widths)
        self.widen = nn.ModuleList(
            PointwiseLinear(half, width)
            for width, half in zip(widths[:-1], widths[1:], strict=True)
        )
        self.project = PointwiseLinear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        maps = zip(self.features, self.filters, strict=True)
        *gates, gate = (filter(feature(x)) * SCALE for feature, filter in maps)
        p = self.start(x) * gate
        for widen, gate in zip(reversed(self.widen), reversed(gates), strict=True):
            p = widen(p) * gate
        y: Tensor = self.project(p)
        return y


MIXERS.register(
    Family(
        "gated_conv",
        GatedConvOptions,
        GatedConv,
        paper="https://arxiv.org/abs/2207.14284",
        nested=("dim", "kernel"),
    )
)
