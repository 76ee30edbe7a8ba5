"""Attention: every position looks at every other one, in heads of a fixed width.

    y = W_o * concat_h softmax(q_h k_h^T / sqrt(d)) v_h        x, y: (B, C, H, W)

W_q, W_k, W_v and W_o have biases, as in ViT, or none, as in CAFormer. There are as many heads as
fit into the width, or one more, as in AutoFormer, whose heads are searched beside the width.
Elastic: channels and heads (leading; a head is always `head_dim` wide).
Papers: ViT, Dosovitskiy et al. 2020, https://arxiv.org/abs/2010.11929 (Section 3.1); without
biases in MetaFormer baselines, Yu et al. 2022, https://arxiv.org/abs/2210.13452; more heads in
AutoFormer, Chen et al. 2021, https://arxiv.org/abs/2107.00651 (Table 1)
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from search_spaces.family import MIXERS, Family, Options, choice
from search_spaces.layers import attend, heads_of, maps, merge_heads, split_heads, tokens


@dataclass(frozen=True)
class AttentionOptions(Options):
    """Width of a head, whether layers have biases, heads beyond those that fit into the width."""

    head_dim: int = choice(16, 32, 64, unit="channels", meaning="head width")
    bias: bool = choice(False, True, default=True, tacit=True)
    extra_heads: int = choice(0, 1, unit="heads", tacit=True)


class Attention(nn.Module):
    """Multi-head self-attention over all positions of a map."""

    def __init__(self, dim: int, options: AttentionOptions) -> None:
        super().__init__()
        self.heads = heads_of(dim, options.head_dim) + options.extra_heads
        inner = self.heads * options.head_dim
        self.q = nn.Linear(dim, inner, options.bias)
        self.k = nn.Linear(dim, inner, options.bias)
        self.v = nn.Linear(dim, inner, options.bias)
        self.project = nn.Linear(inner, dim, options.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        height, width = x.shape[2:]
        t = tokens(x)  # (B, N, C)
        q, k, v = (split_heads(layer(t), self.heads) for layer in (self.q, self.k, self.v))
        y = attend(q, k, v)  # (B, heads, N, head_dim)
        return maps(self.project(merge_heads(y)), height, width)


MIXERS.register(
    Family(
        "attention",
        AttentionOptions,
        Attention,
        paper="https://arxiv.org/abs/2010.11929",
        reference="timm.layers.attention.Attention",
        nested=("dim", "extra_heads"),
        axes=lambda options: {
            "q": ("heads", "in"),
            "k": ("heads", "in"),
            "v": ("heads", "in"),
            "project": ("out", "heads"),
        },
    )
)
