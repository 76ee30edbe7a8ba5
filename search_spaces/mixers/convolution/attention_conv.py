"""Attention in a convolution: the weights of a k x k window come from its centre's query.

    a_i = softmax over j of (q_i k_j^T / sqrt(C))        j: the k x k window around i
    y = relu(Conv_k(x + a v))                            x, y: (B, C, H, W)

With dilation e, a window has every e-th position. Beyond the border keys and values are zero, as
in a convolution, and such a key takes part in the softmax. Conv_k is dense and has no bias.
This is the module of the authors' code, https://github.com/StriveZs/MSA-Conv, without its dropout.
It has one head, although the paper's name for it speaks of several. The shifts and the pooling
that the paper puts between such layers are left out.
Elastic: channels (leading), the convolution's kernel (centre window).
Paper: TiC, Zhang et al. 2023, https://arxiv.org/abs/2310.04134 (MSA-Conv)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from search_spaces.family import MIXERS, Family, Options, choice
from search_spaces.layers import taps


@dataclass(frozen=True)
class AttentionConvOptions(Options):
    """Side of the windows and of the convolution, distance between a window's positions."""

    kernel: int = choice(3, 5, unit="px")
    dilation: int = choice(1, 2, unit="positions")


class AttentionConv(nn.Module):
    """TiC's convolution whose weights are attention."""

    def __init__(self, dim: int, options: AttentionConvOptions) -> None:
        super().__init__()
        self.kernel, self.dilation = options.kernel, options.dilation
        self.q = nn.Linear(dim, dim)
        self.k = nn.Linear(dim, dim)
        self.v = nn.Linear(dim, dim)
        self.conv = nn.Conv2d(dim, dim, self.kernel, padding=self.kernel // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        y = x.permute(0, 2, 3, 1)
        q = self.q(y) * y.shape[3] ** -0.5
        keys, values = (taps(each(y), self.kernel, self.dilation) for each in (self.k, self.v))
        scores = torch.stack([(q * key).sum(3, keepdim=True) for key in keys])
        for value, weight in zip(values, scores.softmax(0), strict=True):
            y = torch.addcmul(y, value, weight)
        return torch.relu(self.conv(y.permute(0, 3, 1, 2)))


MIXERS.register(
    Family(
        "attention_conv",
        AttentionConvOptions,
        AttentionConv,
        paper="https://arxiv.org/abs/2310.04134",
        nested=(),  # the scores are divided by the root of the width
    )
)
