"""Global sub-sampled attention: every position looks at one summary of each r x r group.

    z = LN(S_r(x))        S_r: mean, depthwise or full convolution, r x r at stride r
    y = W_o * concat_h softmax(q_h(x) k_h(z)^T / sqrt(32)) v_h(z)        x, y: (B, C, H, W)

With the full convolution, the paper's choice, this is PVT's spatial-reduction attention; the other
two are the cheaper summaries that the paper compares. Groups at the edge of a map are averaged
over the positions they have; a convolution sees zeros there.
Elastic: channels and heads (leading), the summary's kernel (centre window).
Paper: Twins, Chu et al. 2021, https://arxiv.org/abs/2104.13840 (Section 3.2)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.family import MIXERS, Family, Options, choice
from search_spaces.layers import (
    LayerNorm2d,
    attend,
    heads_of,
    maps,
    merge_heads,
    split_heads,
    tokens,
)

HEAD = 32  # width of a head in every published model


@dataclass(frozen=True)
class GlobalSubsampledOptions(Options):
    """How a group is summarised, side of a group."""

    summary: str = choice("mean", "depthwise", "convolution", default="convolution")
    ratio: int = choice(4, 2, default=2)


class GlobalSubsampledAttention(nn.Module):
    """Attention with full queries, and keys and values of groups of positions."""

    def __init__(self, dim: int, options: GlobalSubsampledOptions) -> None:
        super().__init__()
        self.summary, self.ratio = options.summary, options.ratio
        self.heads = heads_of(dim, HEAD)
        inner = self.heads * HEAD
        self.q = nn.Linear(dim, inner)
        self.k = nn.Linear(dim, inner)
        self.v = nn.Linear(dim, inner)
        self.project = nn.Linear(inner, dim)
        if self.summary == "depthwise":
            self.filter = nn.Conv2d(dim, dim, self.ratio, self.ratio, groups=dim)
        elif self.summary == "convolution":
            self.reduce = nn.Conv2d(dim, dim, self.ratio, self.ratio)
        self.norm = LayerNorm2d(dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        height, width = x.shape[2:]
        q = split_heads(self.q(tokens(x)), self.heads)
        z = tokens(self.norm(self._summaries(x)))
        k, v = split_heads(self.k(z), self.heads), split_heads(self.v(z), self.heads)
        y = attend(q, k, v)  # (B, heads, N, 32)
        return maps(self.project(merge_heads(y)), height, width)

    def _summaries(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H / r, W / r), rounded up."""
        if self.summary == "mean":
            return F.avg_pool2d(x, self.ratio, self.ratio, ceil_mode=True)
        down, right = -x.shape[2] % self.ratio, -x.shape[3] % self.ratio
        if down or right:
            x = F.pad(x, (0, right, 0, down))
        y: Tensor = self.filter(x) if self.summary == "depthwise" else self.reduce(x)
        return y


MIXERS.register(
    Family(
        "global_subsampled",
        GlobalSubsampledOptions,
        GlobalSubsampledAttention,
        paper="https://arxiv.org/abs/2104.13840",
        reference="timm.models.twins.GlobalSubSampleAttn",
        nested=(),  # the norm of the summaries averages over channels
    )
)
