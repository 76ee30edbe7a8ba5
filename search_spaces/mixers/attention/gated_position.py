"""Gated positional attention: each head weighs what positions hold against where they are.

    p_h = softmax_j(v_h . (dx, dy, dx^2 + dy^2))        dx, dy: from position i to position j
    y = W_o concat_h ((1 - g_h) softmax(q_h k_h^T / sqrt(d)) + g_h p_h) W_v x
    g_h = sigmoid(lambda_h)        x, y: (B, C, H, W)

The positional softmax is one over rows times one over columns, so it costs two small products.
Heads begin as the taps of a convolution: head h looks at the h-th nearest offset.
Elastic: channels and heads (leading).
Paper: ConViT, d'Ascoli et al. 2021, https://arxiv.org/abs/2103.10697 (Section 3)
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor, nn

from search_spaces.constants import constants
from search_spaces.family import MIXERS, Family, Options, choice
from search_spaces.layers import attend, heads_of, maps, merge_heads, split_heads, tokens


@dataclass(frozen=True)
class GatedPositionOptions(Options):
    """Width of a head."""

    head_dim: int = choice(16, 32, 64, unit="channels", meaning="head width")


class GatedPositionAttention(nn.Module):
    """Self-attention that can be as local as a convolution."""

    def __init__(self, dim: int, options: GatedPositionOptions) -> None:
        super().__init__()
        self.heads = heads_of(dim, options.head_dim)
        inner = self.heads * options.head_dim
        self.q = nn.Linear(dim, inner)
        self.k = nn.Linear(dim, inner)
        self.v = nn.Linear(dim, inner)
        with torch.no_grad():
            self.v.weight.copy_(torch.eye(inner, dim))
        self.project = nn.Linear(inner, dim)
        # A score -|delta - centre|^2, less what is the same for all positions.
        position = [(2.0 * right, 2.0 * down, -1.0) for down, right in _nearest(self.heads)]
        self.position = nn.Parameter(torch.tensor(position))
        self.gate = nn.Parameter(torch.ones(self.heads))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        height, width = x.shape[2:]
        t = tokens(x)
        q, k, v = (split_heads(layer(t), self.heads) for layer in (self.q, self.k, self.v))
        content = attend(q, k, v)  # (B, heads, N, d)
        position = self._look(v.reshape(-1, self.heads, height, width, v.shape[3]))
        gate = torch.sigmoid(self.gate)[:, None, None]
        y = (1 - gate) * content + gate * position
        return maps(self.project(merge_heads(y)), height, width)

    def _look(self, v: Tensor) -> Tensor:
        """The positional attention on values (B, heads, H, W, d), as (B, heads, N, d)."""
        height, width = v.shape[2:4]
        weights: Tensor = self.position  # (heads, 3)
        across, down, squared = weights.unbind(1)
        columns = _scores(v, across, squared, width)[:, None]  # (heads, 1, W, W)
        rows = _scores(v, down, squared, height)  # (heads, H, H)
        y: Tensor = rows @ (columns @ v).flatten(3)
        return y.reshape(-1, self.heads, height * width, v.shape[4])


def _scores(v: Tensor, linear: Tensor, squared: Tensor, side: int) -> Tensor:
    """Attention along one axis, (heads, side, side)."""
    offset = _offsets(v, side, v.device).to(v.dtype)
    return (linear[:, None, None] * offset + squared[:, None, None] * offset**2).softmax(-1)


@constants
def _offsets(side: int, device: torch.device) -> Tensor:
    """From each position of an axis to each other one, (side, side)."""
    position = torch.arange(side, device=device)
    return position[None] - position[:, None]


def _nearest(count: int) -> list[tuple[int, int]]:
    """The offsets nearest to a position, its own first."""
    side = range(-count, count + 1) if count < 9 else range(-int(count**0.5), int(count**0.5) + 1)
    return sorted(product(side, side), key=lambda at: (at[0] ** 2 + at[1] ** 2, at))[:count]


MIXERS.register(
    Family(
        "gated_position",
        GatedPositionOptions,
        GatedPositionAttention,
        paper="https://arxiv.org/abs/2103.10697",
        reference="timm.models.convit.GPSA",
        nested=("dim",),
    )
)
