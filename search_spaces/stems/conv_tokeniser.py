"""Convolutional tokeniser: convolutions with pooling, whose positions are the tokens.

    y = MaxPool_3(relu(Conv_k(x)))      once or twice; the pooling has stride 2

    stride 2:  once, convolution of stride 1        CCT-x/3x1, for images of 32 px
    stride 4:  twice, convolutions of stride 1      CCT-x/3x2
    stride 16: twice, convolutions of stride 2      CCT-x/7x2, for images of 224 px

(B, I, R, R) -> (B, C, R / stride, R / stride), rounded up. As in the paper the convolutions have
no bias, and nothing is normalised. The map between two convolutions has 64 channels.
Elastic: output channels (leading), kernel (centre window).
Paper: Compact Transformers, Hassani et al. 2021, https://arxiv.org/abs/2104.05704 (section
"Convolutional Tokenizer")
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.family import STEMS, Family, choice
from search_spaces.layers import channels_last
from search_spaces.stems import StemOptions

BETWEEN = 64
STRIDES = {2: (1,), 4: (1, 1), 16: (2, 2)}
"""Strides of the convolutions, by the total stride."""


@dataclass(frozen=True)
class ConvTokeniserOptions(StemOptions):
    """Total stride, side of the convolutions' kernels."""

    stride: int = choice(16, 4, 2, default=2, unit="px", meaning="stem stride")
    kernel: int = choice(3, 5, 7, unit="px")


class ConvTokeniser(nn.Module):
    """Convolutions, each with a ReLU and overlapping max pooling."""

    def __init__(self, in_dim: int, dim: int, options: ConvTokeniserOptions, norm: str) -> None:
        super().__init__()
        strides = STRIDES[options.stride]
        widths = [in_dim, *[BETWEEN] * (len(strides) - 1), dim]
        side = options.kernel
        self.convs = nn.ModuleList(
            nn.Conv2d(a, b, side, stride, side // 2, bias=False)
            for a, b, stride in zip(widths, widths[1:], strides, strict=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, I, R, R) -> (B, C, R / stride, R / stride)."""
        for conv in self.convs:
            x = F.max_pool2d(F.relu(channels_last(conv(x))), 3, 2, 1)
        return x


STEMS.register(
    Family(
        "conv_tokeniser",
        ConvTokeniserOptions,
        ConvTokeniser,
        paper="https://arxiv.org/abs/2104.05704",
        nested=(),
    )
)
