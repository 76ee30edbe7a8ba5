"""Channel attention: attention between the channels of a group, over all positions at once.

    A_g = softmax(q_g^T k_g / sqrt(N))        (d, d) for each group g of d channels, N positions
    y = W_o * concat_g v_g A_g^T                x, y: (B, C, H, W)

Elastic: channels and groups (leading; a group is always `head_dim` wide).
Paper: DaViT, Ding et al. 2022, https://arxiv.org/abs/2204.03645 (Section 3.3), with the
scaling by positions of the authors' later code, which does not change with resolution.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from search_spaces.family import MIXERS, Family, Options, choice
from search_spaces.layers import heads_of, maps, merge_heads, split_heads, tokens


@dataclass(frozen=True)
class ChannelOptions(Options):
    """Width of a group."""

    head_dim: int = choice(16, 32, 64, unit="channels")


class ChannelAttention(nn.Module):
    """Grouped attention in which channels, not positions, are the tokens."""

    def __init__(self, dim: int, options: ChannelOptions) -> None:
        super().__init__()
        self.groups = heads_of(dim, options.head_dim)
        inner = self.groups * options.head_dim
        self.q = nn.Linear(dim, inner)
        self.k = nn.Linear(dim, inner)
        self.v = nn.Linear(dim, inner)
        self.project = nn.Linear(inner, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        height, width = x.shape[2:]
        t = tokens(x)
        q, k, v = (split_heads(layer(t), self.groups) for layer in (self.q, self.k, self.v))
        scale = (height * width) ** -0.5
        weights = ((q * scale).transpose(2, 3) @ k).softmax(dim=-1)  # (B, groups, d, d)
        y = v @ weights.transpose(2, 3)  # (B, groups, N, d)
        return maps(self.project(merge_heads(y)), height, width)


MIXERS.register(
    Family(
        "channel",
        ChannelOptions,
        ChannelAttention,
        paper="https://arxiv.org/abs/2204.03645",
        reference="timm.models.davit.ChannelAttentionV2",
        nested=("dim",),
    )
)
