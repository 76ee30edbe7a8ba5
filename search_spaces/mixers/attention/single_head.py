"""Single-head attention on a part of the channels; the others pass by to the projection.

    x = [a, b],  q, k, v = BN(W GN(a))
    y = BN(W_o relu([softmax(q k^T / sqrt(16)) v, b]))        x, y: (B, C, H, W)

GN is a group norm with one group, over the channels and the positions of a.
Elastic: channels and those of the part (leading).
Paper: SHViT, Yun and Ro 2024, https://arxiv.org/abs/2401.16456 (Section 3)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from search_spaces.family import MIXERS, Family, Options, choice
from search_spaces.layers import attend, channels_last, maps, tokens

KEY = 16  # channels of queries and keys in every published model


@dataclass(frozen=True)
class SingleHeadOptions(Options):
    """Share of the channels that attend; the paper's is 1 / 4.67."""

    share: float = choice(0.125, 0.214, 0.5, default=0.214, unit="of the channels")


class SingleHeadAttention(nn.Module):
    """Attention with one head on the leading channels."""

    def __init__(self, dim: int, options: SingleHeadOptions) -> None:
        super().__init__()
        part = max(1, round(dim * options.share))
        self.split = [part, dim - part]
        self.norm = nn.GroupNorm(1, part)
        self.qkv = nn.Conv2d(part, 2 * KEY + part, 1, bias=False)
        self.qkv_norm = nn.BatchNorm2d(2 * KEY + part)
        self.project = nn.Conv2d(dim, dim, 1, bias=False)
        self.project_norm = nn.BatchNorm2d(dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        height, width = x.shape[2:]
        part, rest = torch.split(x, self.split, 1)
        # Torch 2.13's group norm crashes in the backward pass of a channels-last map.
        part = channels_last(self.norm(part.contiguous()))
        qkv = self.qkv_norm(self.qkv(part))
        q, k, v = torch.split(tokens(qkv)[:, None], [KEY, KEY, self.split[0]], 3)  # one head
        y = maps(attend(q, k, v)[:, 0], height, width)
        y = self.project_norm(self.project(torch.relu(torch.cat([y, rest], 1))))
        return channels_last(y)


MIXERS.register(
    Family(
        "single_head",
        SingleHeadOptions,
        SingleHeadAttention,
        paper="https://arxiv.org/abs/2401.16456",
        reference="timm.models.shvit.SHSA",
        nested=(),  # the norm averages over channels
    )
)
