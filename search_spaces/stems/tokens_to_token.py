"""Tokens to token: each step joins overlapping neighbours and lets them attend to one another.

    t_0 = unfold(x)                                             soft split: k x k tokens joined
    t   = v + W_o softmax(q k^T / sqrt(d)) v,  q, k, v = W norm(t_i)
    t   = t + W_2 gelu(W_1 norm(t))                             d = 64 channels
    t_{i+1} = unfold(t)
    y = norm(W t_n)                                             x: (B, I, R, R), y: (B, C, R / s)

    stride 16: splits of 7 x 7 at stride 4, 3 x 3 at stride 2, 3 x 3 at stride 2 (the paper's)
    stride 8:  7 x 7 at stride 4, 3 x 3 at stride 2         for smaller images
    stride 4:  3 x 3 at stride 2, 3 x 3 at stride 2

The values serve as the shortcut of the attention, because its input has another width. The paper
has two variants, with softmax attention (T2T-ViT_t) and with Performer's; this is the former.
Elastic: output channels (leading); the 64 channels of the tokens are fixed.
Paper: T2T-ViT, Yuan et al. 2021, https://arxiv.org/abs/2101.11986 (section "Tokens-to-Token")
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.family import STEMS, Family, choice
from search_spaces.layers import PointwiseLinear, attend, channels_last, make_norm, maps, tokens
from search_spaces.stems import StemOptions

TOKEN_DIM = 64
SPLITS = {16: ((7, 4), (3, 2), (3, 2)), 8: ((7, 4), (3, 2)), 4: ((3, 2), (3, 2))}
"""Side and stride of each soft split, by the total stride."""


@dataclass(frozen=True)
class TokensToTokenOptions(StemOptions):
    """Total stride of the splits."""

    stride: int = choice(16, 8, 4, unit="px", meaning="stem stride")


class TokensToToken(nn.Module):
    """Overlapping patches joined step by step, with attention between the steps."""

    def __init__(self, in_dim: int, dim: int, options: TokensToTokenOptions, norm: str) -> None:
        super().__init__()
        self.splits = SPLITS[options.stride]
        widths = [in_dim, *[TOKEN_DIM] * (len(self.splits) - 1)]
        joined = [width * side**2 for width, (side, _) in zip(widths, self.splits, strict=True)]
        self.steps = nn.ModuleList(TokenTransformer(width, norm) for width in joined[:-1])
        self.project = PointwiseLinear(joined[-1], dim)
        self.norm = make_norm(norm, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, I, R, R) -> (B, C, R / stride, R / stride)."""
        for step, split in zip(self.steps, self.splits, strict=False):
            x = step(soft_split(x, *split))
        y: Tensor = self.norm(self.project(soft_split(x, *self.splits[-1])))
        return y


class TokenTransformer(nn.Module):
    """Attention from joined tokens to tokens of 64 channels, and an MLP."""

    def __init__(self, in_dim: int, norm: str) -> None:
        super().__init__()
        self.norm = make_norm(norm, in_dim)
        self.q, self.k, self.v = (PointwiseLinear(in_dim, TOKEN_DIM) for _ in range(3))
        self.attended = PointwiseLinear(TOKEN_DIM, TOKEN_DIM)
        self.mlp_norm = make_norm(norm, TOKEN_DIM)
        self.expand = PointwiseLinear(TOKEN_DIM, TOKEN_DIM)
        self.project = PointwiseLinear(TOKEN_DIM, TOKEN_DIM)

    def forward(self, x: Tensor) -> Tensor:
        """(B, I, H, W) -> (B, 64, H, W)."""
        x = self.norm(x)
        v = self.v(x)
        q, k, values = (tokens(each)[:, None] for each in (self.q(x), self.k(x), v))
        x = v + self.attended(maps(attend(q, k, values)[:, 0], *x.shape[2:]))
        y: Tensor = x + self.project(F.gelu(self.expand(self.mlp_norm(x))))
        return y


def soft_split(x: Tensor, side: int, stride: int) -> Tensor:
    """Join each position's neighbours: (B, C, H, W) -> (B, C * side^2, H / stride, W / stride).

    Neighbours outside the map are zero; sides that the stride does not divide are rounded up.
    """
    batch, _, height, width = x.shape
    down, right = -height % stride, -width % stride
    border = (side - stride + 1) // 2
    joined = F.unfold(F.pad(x, (0, right, 0, down)), side, padding=border, stride=stride)
    size = (height + down) // stride, (width + right) // stride
    return channels_last(joined.reshape(batch, -1, *size))


STEMS.register(
    Family(
        "tokens_to_token",
        TokensToTokenOptions,
        TokensToToken,
        paper="https://arxiv.org/abs/2101.11986",
        nested=(),
    )
)
