"""Swift attention: one global query scales every key; nothing pairs positions with positions.

    q_i = n(W_q x_i),  k_i = n(W_k x_i)        n(u) = u / |u|
    a = n(q w),  g = sum_i a_i q_i        a: one weight for each position
    y_i = W_o (W_p (g * k_i) + q_i)        x, y: (B, C, H, W)

The values and the pairwise products of attention are left out: the cost is linear in positions.
Elastic: channels (leading).
Paper: SwiftFormer, Shaker et al. 2023, https://arxiv.org/abs/2303.15446 (Section 3.2)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.family import MIXERS, Family, Options
from search_spaces.layers import maps, tokens


@dataclass(frozen=True)
class SwiftOptions(Options):
    """Nothing to choose."""


class SwiftAttention(nn.Module):
    """Efficient additive attention with a global query."""

    def __init__(self, dim: int, options: SwiftOptions) -> None:
        super().__init__()
        self.q = nn.Linear(dim, dim)
        self.k = nn.Linear(dim, dim)
        self.weight = nn.Parameter(torch.randn(dim))
        self.mix = nn.Linear(dim, dim)
        self.project = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        t = tokens(x)
        q, k = F.normalize(self.q(t), dim=2), F.normalize(self.k(t), dim=2)  # (B, N, C)
        a = F.normalize(q @ self.weight[:, None], dim=1)  # (B, N, 1)
        query = a.transpose(1, 2) @ q  # (B, 1, C)
        y = self.project(self.mix(query * k) + q)
        return maps(y, *x.shape[2:])


MIXERS.register(
    Family(
        "swift",
        SwiftOptions,
        SwiftAttention,
        paper="https://arxiv.org/abs/2303.15446",
        reference="timm.models.swiftformer.EfficientAdditiveAttention",
        nested=("dim",),
    )
)
