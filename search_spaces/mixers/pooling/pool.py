"""Pooling: the mean of the neighbourhood minus the position itself; there are no weights.

    y = avg_pool_k(x) - x        x, y: (B, C, H, W)

Elastic: nothing to share.
Paper: PoolFormer, Yu et al. 2021, https://arxiv.org/abs/2111.11418 (Section 3.2)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.family import MIXERS, Family, Options, choice


@dataclass(frozen=True)
class PoolOptions(Options):
    """Side of the neighbourhood."""

    size: int = choice(3, 5, 7, unit="px")


class Pool(nn.Module):
    """Average pooling at stride 1; the border counts only what lies inside the map."""

    def __init__(self, dim: int, options: PoolOptions) -> None:
        super().__init__()
        self.size = options.size

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        y = x
        if x.is_cuda and x.requires_grad:
            # On CUDA, PyTorch up to mid-2026 gives a wrong gradient for channels-last maps with
            # padding: pytorch/pytorch issue 188344, seen as 13 to 26 % on an H200 with 2.11.
            y = x.contiguous()
        mean = F.avg_pool2d(y, self.size, 1, self.size // 2, count_include_pad=False)
        return mean - x


MIXERS.register(
    Family(
        "pool",
        PoolOptions,
        Pool,
        paper="https://arxiv.org/abs/2111.11418",
        reference="timm.models.metaformer.Pooling",
        nested=("dim",),
    )
)
