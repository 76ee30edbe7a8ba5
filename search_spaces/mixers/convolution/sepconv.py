"""SepConv: expand the channels, filter each on its own, project back.

    y = W_out * DW_k * star(W_in * x),  star(u) = s relu(u)^2 + b        x, y: (B, C, H, W)

The scale s and the shift b are one learned number each; the matrices have no bias.
Elastic: channels and hidden channels (leading), kernel (centre window).
Paper: MetaFormer baselines (ConvFormer, CAFormer), Yu et al. 2022,
https://arxiv.org/abs/2210.13452 (Section 2.2)
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from search_spaces.family import MIXERS, Family, Options, choice
from search_spaces.layers import PointwiseLinear, StarReLU, depthwise


@dataclass(frozen=True)
class SepConvOptions(Options):
    """Side of the kernel, expansion."""

    kernel: int = choice(3, 5, 7, default=7, unit="px", meaning="depthwise kernel")
    expand: int = choice(1, 2)


class SepConv(nn.Module):
    """Inverted separable convolution with StarReLU."""

    def __init__(self, dim: int, options: SepConvOptions) -> None:
        super().__init__()
        hidden = dim * options.expand
        self.expand = PointwiseLinear(dim, hidden, bias=False)
        self.activation = StarReLU()
        self.depthwise = depthwise(hidden, options.kernel, bias=False)
        self.project = PointwiseLinear(hidden, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        y: Tensor = self.project(self.depthwise(self.activation(self.expand(x))))
        return y


MIXERS.register(
    Family(
        "sepconv",
        SepConvOptions,
        SepConv,
        paper="https://arxiv.org/abs/2210.13452",
        reference="timm.models.metaformer.SepConv",
        nested=("dim", "kernel", "expand"),
    )
)
