"""Linear attention: positive features of queries and keys in place of their softmax.

A depthwise convolution of the values restores the rank that the product of features loses.

    f(u) = |r| * r^p / |r^p|,  r = relu(u)        focused;  f(u) = relu(u)  simplified
    y_i = f(q_i) (sum_j f(k_j)^T v_j) / (f(q_i) . sum_j f(k_j)) + DW_k(v)_i
    x, y: (B, C, H, W); the products are per head, the output is projected by W_o

Elastic: channels and heads (leading), the convolution's kernel (centre window).
Papers: FLatten, Han et al. 2023, https://arxiv.org/abs/2308.00442 (Section 4); the simplified
map is SLAB's, Guo et al. 2024, https://arxiv.org/abs/2405.11582 (Section 3.3)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from search_spaces.family import MIXERS, Family, Options, choice
from search_spaces.layers import depthwise, heads_of, maps, merge_heads, split_heads, tokens

FOCUS = 3  # exponent p, the papers' default
EPS = 1e-6


@dataclass(frozen=True)
class LinearOptions(Options):
    """Feature map, kernel of the rank restoration, width of a head."""

    feature: str = choice("simplified", "focused")
    kernel: int = choice(3, 5, unit="px", meaning="depthwise kernel")
    head_dim: int = choice(16, 32, 64, unit="channels", meaning="head width")


class LinearAttention(nn.Module):
    """Attention whose cost grows with the number of positions, not with its square."""

    def __init__(self, dim: int, options: LinearOptions) -> None:
        super().__init__()
        self.focused = options.feature == "focused"
        self.heads = heads_of(dim, options.head_dim)
        inner = self.heads * options.head_dim
        self.q = nn.Linear(dim, inner)
        self.k = nn.Linear(dim, inner)
        self.v = nn.Linear(dim, inner)
        self.restore = depthwise(inner, options.kernel)
        self.project = nn.Linear(inner, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        height, width = x.shape[2:]
        t = tokens(x)
        values = self.v(t)  # (B, N, inner)
        q = self._feature(split_heads(self.q(t), self.heads))  # (B, heads, N, d)
        k = self._feature(split_heads(self.k(t), self.heads))
        v = split_heads(values, self.heads)
        mean = 1.0 / (height * width)  # keeps the sums in range at any resolution
        context = (k * mean).transpose(2, 3) @ v  # (B, heads, d, d)
        total = q @ k.mean(dim=2, keepdim=True).transpose(2, 3)  # (B, heads, N, 1)
        y = merge_heads(q @ context / (total + EPS))
        y = y + tokens(self.restore(maps(values, height, width)))
        return maps(self.project(y), height, width)

    def _feature(self, u: Tensor) -> Tensor:
        """A positive feature map of queries or keys, (B, heads, N, d)."""
        r = torch.relu(u)
        if not self.focused:
            return r
        cubed = r**FOCUS
        norm, cubed_norm = (torch.linalg.vector_norm(u, dim=-1, keepdim=True) for u in (r, cubed))
        y: Tensor = cubed * (norm / (cubed_norm + EPS))
        return y


MIXERS.register(
    Family(
        "linear",
        LinearOptions,
        LinearAttention,
        paper="https://arxiv.org/abs/2308.00442",
        nested=("dim", "kernel"),
    )
)
