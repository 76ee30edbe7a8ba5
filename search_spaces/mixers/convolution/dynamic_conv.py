"""Context-mixing dynamic convolution: each position's kernel comes from its view of the whole map.

    A_g = q_g k_g^T / sqrt(d)     q: positions, k: 7 x 7 regions of the pooled map; per group g
    D_g = softmax(A_g M + B_g)    one k x k kernel for each position; M: (49, k*k)
    y = W_o [D_1 (*) x_1, ..., D_G (*) x_G]        x, y: (B, C, H, W)

x_g are the d channels of a group; queries and keys have half as many. At every position (*)
filters with that position's kernel.
The authors' network differs in four ways. Its keys come from another branch, here from the map
itself. Half of each group's channels have a kernel of 5 x 5 beside the larger one; here all have
one size. Its kernels move inside the map at the border; here the map is zero beyond it. Batch
norms follow the three projections; here biases stand in their place.
Elastic: channels and groups (leading; a group is always `head_dim` wide), kernel (centre window).
Paper: OverLoCK (ContMix), Lou and Yu 2025, https://arxiv.org/abs/2502.20087 (Section 3.3)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.family import MIXERS, Family, Options, choice
from search_spaces.layers import averages, split_heads, taps

REGIONS = 7  # along each side


@dataclass(frozen=True)
class DynamicConvOptions(Options):
    """Side of the kernels, channels of a group."""

    kernel: int = choice(3, 5, 7, default=5, unit="px", meaning="depthwise kernel")
    head_dim: int = choice(16, 32, unit="channels", meaning="head width")


class DynamicConv(nn.Module):
    """OverLoCK's ContMix."""

    def __init__(self, dim: int, options: DynamicConvOptions) -> None:
        super().__init__()
        self.kernel, self.head_dim = options.kernel, options.head_dim
        self.heads = -(-dim // self.head_dim)
        inner = self.heads * self.head_dim // 2
        self.q = nn.Linear(dim, inner)
        self.k = nn.Linear(dim, inner)
        self.mix = nn.Parameter(torch.empty(REGIONS**2, self.kernel, self.kernel))
        self.bias = nn.Parameter(torch.zeros(self.heads, self.kernel, self.kernel))
        self.project = nn.Linear(dim, dim)
        nn.init.uniform_(self.mix, -1 / REGIONS, 1 / REGIONS)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        height, width = x.shape[2:]
        t = x.permute(0, 2, 3, 1)  # (B, H, W, C)
        weights = torch.unflatten(self._kernels(t), 2, (height, width))
        weights = weights.permute(4, 0, 2, 3, 1)[..., None]  # (k*k, B, H, W, heads, 1)
        padded = F.pad(t, (0, self.heads * self.head_dim - t.shape[3]))
        shifted = [torch.unflatten(tap, 3, (self.heads, -1)) for tap in taps(padded, self.kernel)]
        y: Tensor = shifted[0] * weights[0]
        for tap, weight in zip(shifted[1:], weights[1:], strict=True):
            y = torch.addcmul(y, tap, weight)
        y = self.project(y.flatten(3)[..., : t.shape[3]])
        y = y.permute(0, 3, 1, 2)
        return y

    def _kernels(self, t: Tensor) -> Tensor:
        """(B, H, W, C) -> one kernel for each group and position, (B, heads, N, k*k)."""
        batch, height, width, dim = t.shape
        rows, columns = averages(height, REGIONS, t), averages(width, REGIONS, t)
        regions = rows @ (columns @ t).reshape(batch, height, -1)
        q = split_heads(self.q(t.flatten(1, 2)), self.heads)  # (B, heads, N, d/2)
        k = split_heads(self.k(regions.reshape(batch, REGIONS**2, dim)), self.heads)
        # (q k^T) M = q (M^T k)^T: mixing the 49 keys first costs less than mixing all scores.
        k = self.mix.flatten(1).T @ (k * self.head_dim**-0.5)  # (B, heads, k*k, d/2)
        scores: Tensor = q @ k.transpose(2, 3) + self.bias.flatten(1)[:, None]
        return scores.softmax(dim=3)


MIXERS.register(
    Family(
        "dynamic_conv",
        DynamicConvOptions,
        DynamicConv,
        paper="https://arxiv.org/abs/2502.20087",
        nested=("dim",),
    )
)
