"""Quadtree attention: a position looks at all of a coarse map, then closer where it matters.

    at the coarsest level a query looks at all cells; at each finer one at the children of the
    cells that scored highest for its parent; a cell of level l is the mean of 2^l x 2^l positions

    m_l = softmax(q_l k_l^T / sqrt(d)) v_l        over the cells that a query looks at
    y = W_o * concat_h sum_l w_l m_l        w: softmax of one learned number for each level

x, y: (B, C, H, W). This is the paper's QuadTree-B. The authors' networks for classification also
learn how values are reduced, and add a depthwise convolution of them. A map that the coarsest
cells do not tile is padded; what is padded is in no mean, and no query looks at it. The cost is
linear in positions but for the coarsest level. In half precision some queries choose other cells,
where two scored nearly the same.
Elastic: channels and heads (leading), levels (the finest ones).
Paper: QuadTree Attention for Vision Transformers, Tang et al. 2022,
https://arxiv.org/abs/2201.02767 (section "QuadTree Attention")
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from search_spaces.constants import constants
from search_spaces.family import MIXERS, Family, Options, choice
from search_spaces.layers import attend, heads_of, merge_heads, split_heads
from search_spaces.windows import from_windows, to_windows


@dataclass(frozen=True)
class QuadtreeOptions(Options):
    """Levels of the tree, cells whose children a query looks at, width of a head."""

    levels: int = choice(2, 3, default=3)
    top: int = choice(4, 8, default=8, unit="cells")
    head_dim: int = choice(16, 32, unit="channels", meaning="head width")


class QuadtreeAttention(nn.Module):
    """Attention from coarse to fine, in a tree of cells."""

    def __init__(self, dim: int, options: QuadtreeOptions) -> None:
        super().__init__()
        self.levels, self.top = options.levels, options.top
        self.heads = heads_of(dim, options.head_dim)
        inner = self.heads * options.head_dim
        self.q = nn.Linear(dim, inner)
        self.k = nn.Linear(dim, inner)
        self.v = nn.Linear(dim, inner)
        self.project = nn.Linear(inner, dim)
        self.level = nn.Parameter(torch.zeros(options.levels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        height, width = x.shape[2:]
        t = _to_tree(x.permute(0, 2, 3, 1), self.levels)
        there = _there(x, height, width, self.levels, x.device).to(x.dtype)  # (N, 1)
        q, k, v = (split_heads(layer(t) * there, self.heads) for layer in (self.q, self.k, self.v))
        y = merge_heads(self._descend(q, k, v, there))
        projected: Tensor = self.project(_from_tree(y, self.levels, height, width))
        return projected.permute(0, 3, 1, 2)

    def _descend(self, q: Tensor, k: Tensor, v: Tensor, there: Tensor) -> Tensor:
        """From the coarsest level to the finest; all (B, heads, N, d) in the order of the tree."""
        weights = self.level.softmax(0)
        y = looks = None
        for level in reversed(range(self.levels)):
            positions = torch.unflatten(there, 0, (-1, 4**level)).sum(1)  # in each cell
            q_l, k_l, v_l = (_means(t, positions, level) for t in (q, k, v))
            if looks is None:  # one group of queries, which looks at all cells
                every = torch.arange(k_l.shape[2], device=k.device)
                looks = every.expand(*k_l.shape[:2], 1, -1)
            # Queries of a group look at the same cells, (B, heads, groups, queries, d).
            groups = torch.unflatten(q_l, 2, (looks.shape[2], -1))
            near_k, near_v = _gather(k_l, looks), _gather(v_l, looks)
            real = (positions[:, 0] > 0)[looks][:, :, :, None]  # (B, heads, groups, 1, cells)
            m = attend(*(t.flatten(0, 1) for t in (groups, near_k, near_v, real)))
            m = weights[level] * torch.unflatten(m, 0, q.shape[:2])
            y = (m if y is None else m + y[:, :, :, None]).flatten(2, 3)
            if level:
                looks = self._closer(groups.detach(), near_k.detach(), real, looks)
        assert y is not None
        return y

    def _closer(self, q: Tensor, k: Tensor, real: Tensor, looks: Tensor) -> Tensor:
        """The children that each query's children look at, (B, heads, queries, 4 top)."""
        scores = (q @ k.transpose(3, 4)).masked_fill(~real, -torch.inf)
        best = scores.topk(min(self.top, scores.shape[4]), dim=4).indices
        cells = looks[:, :, :, None].expand(-1, -1, -1, best.shape[3], -1).gather(4, best)
        children = 4 * cells.flatten(2, 3)[..., None] + torch.arange(4, device=cells.device)
        return children.flatten(3)


def _means(t: Tensor, positions: Tensor, level: int) -> Tensor:
    """The mean of each cell of a level, (B, heads, cells, d)."""
    if level == 0:
        return t
    return torch.unflatten(t, 2, (-1, 4**level)).sum(3) / positions.clamp(min=1)


def _gather(t: Tensor, index: Tensor) -> Tensor:
    """Cells (B, heads, cells, d) by index (B, heads, groups, n), as (B, heads, groups, n, d)."""
    maps, cells = t.shape[0] * t.shape[1], t.shape[2]
    first = cells * torch.arange(maps, device=t.device).reshape(*t.shape[:2], 1, 1)
    rows = t.flatten(0, 2).index_select(0, (first + index).flatten())
    return rows.reshape(*index.shape, t.shape[3])


def _to_tree(x: Tensor, levels: int) -> Tensor:
    """(B, H, W, C) -> (B, N, C), padded; the children of cell i are cells 4 i to 4 i + 3."""
    batch, dim = x.shape[0], x.shape[3]
    for level in reversed(range(levels)):
        x = to_windows(x, 2**level, 2**level)
    return x.reshape(batch, -1, dim)


def _from_tree(t: Tensor, levels: int, height: int, width: int) -> Tensor:
    """(B, N, C) -> (B, H, W, C); what was padded is cut off."""
    x = t.reshape(-1, 1, 1, t.shape[2])
    for level in range(1, levels):
        x = from_windows(x, 2**level, 2**level)
    return from_windows(x, height, width)


@constants
def _there(height: int, width: int, levels: int, device: torch.device) -> Tensor:
    """1 for a position of the map, 0 for a padded one, (N, 1)."""
    return _to_tree(torch.ones((1, height, width, 1), device=device), levels)[0]


MIXERS.register(
    Family(
        "quadtree",
        QuadtreeOptions,
        QuadtreeAttention,
        paper="https://arxiv.org/abs/2201.02767",
        nested=("dim",),
    )
)
