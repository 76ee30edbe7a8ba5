"""MetaNeXt: a depthwise mixer and an MLP in one branch, with one norm between them.

    y = W_2 R(gelu(W_1 N(K * x)))        x, y: (B, C, H, W); hidden channels: ratio * C

    design        K                      N            R
    convnext      depthwise, 7 x 7       layer norm   nothing
    convnext_v2   depthwise, 7 x 7       layer norm   global response norm
    inception     square, row, column    batch norm   nothing

    R(u)_c = u_c + g_c u_c n_c + b_c,   n_c = |u_c| / mean_c' |u_c'|,  |.| over the positions

It is a whole block: its branch is `unnormed` or `unnormed_scaled`, its channel mixer `none`.
Elastic: channels and hidden channels (leading).
Papers: MetaNeXt and InceptionNeXt, Yu et al. 2023, https://arxiv.org/abs/2303.16900 (Section 3);
ConvNeXt, Liu et al. 2022, https://arxiv.org/abs/2201.03545 (Section 2); ConvNeXt V2, Woo et al.
2023, https://arxiv.org/abs/2301.00808 (Section 4)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.family import MIXERS, Family, Options, choice
from search_spaces.layers import LayerNorm2d, PointwiseLinear, depthwise
from search_spaces.mixers.convolution.inception_depthwise import (
    InceptionDepthwise,
    InceptionDepthwiseOptions,
)

KERNEL = 7  # side of the depthwise kernel in every published ConvNeXt
EPS = 1e-6


@dataclass(frozen=True)
class MetaNeXtOptions(Options):
    """Which published block, hidden width over width."""

    design: str = choice("inception", "convnext", "convnext_v2", default="convnext_v2")
    ratio: int = choice(3, 4, default=4)


class GlobalResponseNorm(nn.Module):
    """Each channel is strengthened by its share of the response of all channels."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(dim))
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        response = torch.linalg.vector_norm(x, dim=(2, 3), keepdim=True)  # (B, C, 1, 1)
        share = response / (response.mean(1, keepdim=True) + EPS)
        y: Tensor = x + x * share * self.weight[:, None, None] + self.bias[:, None, None]
        return y


class MetaNeXt(nn.Module):
    """A ConvNeXt or InceptionNeXt block without its residual connection, which the block adds."""

    def __init__(self, dim: int, options: MetaNeXtOptions) -> None:
        super().__init__()
        hidden = dim * options.ratio
        if options.design == "inception":
            self.mix: nn.Module = InceptionDepthwise(dim, InceptionDepthwiseOptions())
            self.norm: nn.Module = nn.BatchNorm2d(dim)
        else:
            self.mix, self.norm = depthwise(dim, KERNEL), LayerNorm2d(dim)
        self.expand = PointwiseLinear(dim, hidden)
        v2 = options.design == "convnext_v2"
        self.response = GlobalResponseNorm(hidden) if v2 else nn.Identity()
        self.project = PointwiseLinear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        y = F.gelu(self.expand(self.norm(self.mix(x))))
        out: Tensor = self.project(self.response(y))
        return out


MIXERS.register(
    Family(
        "metanext",
        MetaNeXtOptions,
        MetaNeXt,
        paper="https://arxiv.org/abs/2303.16900",
        reference="timm.models.convnext.ConvNeXtBlock",
        nested=(),  # the norms average over the channels and over the hidden ones
    )
)
