"""Convolutional additive attention: gated queries and keys are added, and scale the values.

    S(u) = u * sigmoid(w . relu(BN(DW_k(u))))        one gate for each position
    C(u) = u * sigmoid(W mean(u))        one gate for each channel
    y = DW_k(DW_k(C(S(q)) + C(S(k))) * v)        q, k, v = W_q x, W_k x, W_v x; x, y: (B, C, H, W)

There is no product of positions with positions: the cost is linear in their number.
Elastic: channels (leading), kernels (centre window).
Paper: CAS-ViT, Zhang et al. 2024, https://arxiv.org/abs/2408.03703 (Section 3)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from search_spaces.family import MIXERS, Family, Options, choice
from search_spaces.layers import PointwiseLinear, depthwise


@dataclass(frozen=True)
class AdditiveOptions(Options):
    """Side of the depthwise kernels."""

    kernel: int = choice(3, 5, unit="px", meaning="depthwise kernel")


class Interaction(nn.Module):
    """Gates a map by position, then by channel."""

    def __init__(self, dim: int, kernel: int) -> None:
        super().__init__()
        self.conv = depthwise(dim, kernel)
        self.norm = nn.BatchNorm2d(dim)
        self.position = PointwiseLinear(dim, 1, bias=False)
        self.channel = PointwiseLinear(dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        x = x * torch.sigmoid(self.position(torch.relu(self.norm(self.conv(x)))))
        return x * torch.sigmoid(self.channel(x.mean((2, 3), keepdim=True)))


class AdditiveAttention(nn.Module):
    """Additive similarity of queries and keys in place of their product."""

    def __init__(self, dim: int, options: AdditiveOptions) -> None:
        super().__init__()
        self.q = PointwiseLinear(dim, dim, bias=False)
        self.k = PointwiseLinear(dim, dim, bias=False)
        self.v = PointwiseLinear(dim, dim, bias=False)
        self.query = Interaction(dim, options.kernel)
        self.key = Interaction(dim, options.kernel)
        self.mix = depthwise(dim, options.kernel)
        self.project = depthwise(dim, options.kernel)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        similarity = self.mix(self.query(self.q(x)) + self.key(self.k(x)))
        y: Tensor = self.project(similarity * self.v(x))
        return y


MIXERS.register(
    Family(
        "additive",
        AdditiveOptions,
        AdditiveAttention,
        paper="https://arxiv.org/abs/2408.03703",
        nested=("dim", "kernel"),
    )
)
