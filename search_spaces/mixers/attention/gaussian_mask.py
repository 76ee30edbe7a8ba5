"""Gaussian-mask attention: scores are multiplied by a mixture of Gaussians of the distance.

    M_h[i, j] = sum_m a_hm exp(-|i - j|^2 / (2 s_hm^2))        i, j: positions on the map
    y = W_o * concat_h softmax(M_h . q_h k_h^T / sqrt(d)) v_h        x, y: (B, C, H, W)

The widths s are learned as logarithms and start at 2, 4, 8, ... positions, the weights a at equal
shares of one. The authors' code starts from random weights and random widths of about 10 positions.
Elastic: channels and heads (leading), the Gaussians of a mixture (leading).
Paper: RetNet Viewed through Convolution, Li and Zhang 2023, https://arxiv.org/abs/2309.05375
(the Gaussian mixture mask; that it multiplies the scores is from the authors' code)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from search_spaces.constants import constants
from search_spaces.family import MIXERS, Family, Options, choice
from search_spaces.layers import heads_of, maps, merge_heads, split_heads, tokens


@dataclass(frozen=True)
class GaussianMaskOptions(Options):
    """Gaussians in the mixture of a head, width of a head."""

    gaussians: int = choice(1, 3, 5, default=3)
    head_dim: int = choice(16, 32, unit="channels", meaning="head width")


class GaussianMaskAttention(nn.Module):
    """Self-attention whose scores fade with the distance."""

    def __init__(self, dim: int, options: GaussianMaskOptions) -> None:
        super().__init__()
        self.heads = heads_of(dim, options.head_dim)
        inner = self.heads * options.head_dim
        self.q = nn.Linear(dim, inner)
        self.k = nn.Linear(dim, inner)
        self.v = nn.Linear(dim, inner)
        self.project = nn.Linear(inner, dim)
        shape = self.heads, options.gaussians
        # At the start 2, 4, 8, ... positions wide.
        widths = math.log(2) * torch.arange(1.0, options.gaussians + 1)
        self.width = nn.Parameter(widths.expand(shape).clone())
        self.weight = nn.Parameter(torch.full(shape, 1 / options.gaussians))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        height, width = x.shape[2:]
        t = tokens(x)
        q, k, v = (split_heads(layer(t), self.heads) for layer in (self.q, self.k, self.v))
        scores = q * q.shape[3] ** -0.5 @ k.transpose(2, 3)  # (B, heads, N, N)
        y = (scores * self._mask(q, height, width)).softmax(-1) @ v
        return maps(self.project(merge_heads(y)), height, width)

    def _mask(self, x: Tensor, height: int, width: int) -> Tensor:
        """The mixture for each pair of positions, (heads, N, N)."""
        variance = torch.exp(2 * self.width)[:, :, None, None]  # (heads, gaussians, 1, 1)
        rows, columns = (
            torch.exp(-_squared(x, side, x.device).to(x.dtype) / (2 * variance))
            for side in (height, width)
        )  # (heads, gaussians, side, side)
        # A Gaussian of the distance is one of the rows times one of the columns.
        rows = (rows * self.weight[:, :, None, None]).flatten(2).transpose(1, 2)
        mask = (rows @ columns.flatten(2)).reshape(-1, height, height, width, width)
        return mask.transpose(2, 3).reshape(-1, height * width, height * width)


@constants
def _squared(side: int, device: torch.device) -> Tensor:
    """Squared distances between the positions of one axis, (side, side)."""
    position = torch.arange(side, device=device)
    return (position[None] - position[:, None]) ** 2


MIXERS.register(
    Family(
        "gaussian_mask",
        GaussianMaskOptions,
        GaussianMaskAttention,
        paper="https://arxiv.org/abs/2309.05375",
        nested=("dim", "gaussians"),
    )
)
