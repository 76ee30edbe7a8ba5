"""Depthwise convolution: each channel is filtered on its own.

    y_c = K_c * x_c        x, y: (B, C, H, W)

Elastic: channels (leading), kernel (centre window).
Paper: ConvNeXt, Liu et al. 2022, https://arxiv.org/abs/2201.03545 (Section 2.5)
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from search_spaces.family import MIXERS, Family, Options, choice
from search_spaces.layers import depthwise


@dataclass(frozen=True)
class DepthwiseOptions(Options):
    """Side of the kernel."""

    kernel: int = choice(3, 5, 7, 9, 11, unit="px", meaning="depthwise kernel")


class Depthwise(nn.Module):
    """One depthwise convolution; the channel mixer that follows it mixes the channels."""

    def __init__(self, dim: int, options: DepthwiseOptions) -> None:
        super().__init__()
        self.conv = depthwise(dim, options.kernel)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        y: Tensor = self.conv(x)
        return y


MIXERS.register(
    Family(
        "depthwise",
        DepthwiseOptions,
        Depthwise,
        paper="https://arxiv.org/abs/2201.03545",
        reference="timm.models.convnext.ConvNeXtBlock",
        nested=("dim", "kernel"),
        axes=lambda options: {"conv": ("in",)},
    )
)
