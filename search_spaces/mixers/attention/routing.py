"""Bi-level routing attention: regions choose regions, and positions attend within the choice.

    q', k' = means of q and k over each region;  I = indices of the top k of q' k'^T
    y = W_o (concat_h softmax(q_h k_h[I]^T / sqrt(d)) v_h[I] + DW_5(v))        x, y: (B, C, H, W)

A map has `regions` regions along each side, or one for each position if it is smaller. Where they
do not divide it, the last ones are smaller: what they lack is masked.
In half precision some regions choose others, where two were nearly equal, and their outputs are of
other keys: bfloat16 is then up to 10 % from float32 (`scripts/mixers_on_gpu.py`).
Elastic: channels and heads (leading).
Paper: BiFormer, Zhu et al. 2023, https://arxiv.org/abs/2303.08810 (Section 3.2)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from search_spaces.constants import constants
from search_spaces.family import MIXERS, Family, Options, choice
from search_spaces.layers import attend, depthwise, heads_of, merge_heads, split_heads
from search_spaces.windows import from_windows, to_windows


@dataclass(frozen=True)
class RoutingOptions(Options):
    """Regions along each side, how many of them a region attends to, width of a head."""

    regions: int = choice(3, 7, default=7)
    top: int = choice(1, 4, unit="regions")
    head_dim: int = choice(16, 32, unit="channels", meaning="head width")


class RoutingAttention(nn.Module):
    """Sparse attention that finds its regions from the map."""

    def __init__(self, dim: int, options: RoutingOptions) -> None:
        super().__init__()
        self.regions, self.top = options.regions, options.top
        self.heads = heads_of(dim, options.head_dim)
        inner = self.heads * options.head_dim
        self.q = nn.Linear(dim, inner)
        self.k = nn.Linear(dim, inner)
        self.v = nn.Linear(dim, inner)
        self.local = depthwise(inner, 5)
        self.project = nn.Linear(inner, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        batch, _, height, width = x.shape
        sides = -(-height // self.regions), -(-width // self.regions)
        count = -(-height // sides[0]) * -(-width // sides[1])
        x = x.permute(0, 2, 3, 1)
        values = self.v(x)
        area = sides[0] * sides[1]
        shape = batch, count, area, values.shape[3]
        q, k, v = (to_windows(t, *sides).reshape(shape) for t in (self.q(x), self.k(x), values))

        there = _there(x, height, width, sides, x.device)  # (count, area)
        index = self._route(q, k, there)
        chosen = torch.cat((k, v), 3).flatten(2)[:, None].expand(-1, count, -1, -1)
        chosen = chosen.gather(2, index[..., None].expand(-1, -1, -1, chosen.shape[3]))
        k, v = chosen.reshape(batch * count, -1, 2 * shape[3]).chunk(2, dim=2)
        tiled = height % sides[0] == 0 and width % sides[1] == 0
        mask = None if tiled else there[index].reshape(batch * count, 1, 1, -1)
        q, k, v = (split_heads(t, self.heads) for t in (q.flatten(0, 1), k, v))
        y = merge_heads(attend(q, k, v, mask))

        y = from_windows(y.reshape(-1, *sides, shape[3]), height, width)
        y = y + self.local(values.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        projected: Tensor = self.project(y)
        return projected.permute(0, 3, 1, 2)

    def _route(self, q: Tensor, k: Tensor, there: Tensor) -> Tensor:
        """The regions that each region attends to, (B, regions, top)."""
        positions = there.sum(1, keepdim=True).to(q.dtype)  # what is padded is zero
        q, k = (t.detach().sum(2) / positions for t in (q, k))  # (B, regions, inner)
        scores = q @ k.transpose(1, 2)
        return scores.topk(min(self.top, scores.shape[2]), dim=2).indices


@constants
def _there(height: int, width: int, sides: tuple[int, int], device: torch.device) -> Tensor:
    """Which positions of each region lie on the map, (regions, area)."""
    ones = torch.ones((1, height, width, 1), device=device)
    return to_windows(ones, *sides).flatten(1) > 0


MIXERS.register(
    Family(
        "routing",
        RoutingOptions,
        RoutingAttention,
        paper="https://arxiv.org/abs/2303.08810",
        nested=("dim",),
    )
)
