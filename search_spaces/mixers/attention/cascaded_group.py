"""Cascaded group attention: each head sees its own channels and the output of the head before.

    x = [x_1, ..., x_h],  z_1 = x_1,  z_i = x_i + u_{i-1}
    q_i, k_i, v_i = BN(W_i z_i),  q_i = BN(DW_k(q_i))
    u_i = softmax(q_i k_i^T / sqrt(16) + B_i) v_i        within each 7 x 7 window
    y = BN(W_o relu(concat_i u_i))        x, y: (B, C, H, W)

B_i is a table over the absolute row and column offsets. Head i has the channels i, i + h, i + 2h,
..., so that a channel stays with its head at every width. A smaller map is one window; one that
windows do not tile is padded with zeros at the bottom and the right.
Elastic: channels and each head's channels (leading), kernel of the queries (centre window).
Paper: EfficientViT, Liu et al. 2023, https://arxiv.org/abs/2305.07027 (Section 3.1)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.constants import constants
from search_spaces.family import MIXERS, Family, Options, choice
from search_spaces.layers import attend, depthwise, maps, tokens
from search_spaces.windows import from_windows, to_windows

KEY = 16  # channels of queries and keys in every published model
WINDOW = 7  # side of a window in the paper's models at 224 px


@dataclass(frozen=True)
class CascadedGroupOptions(Options):
    """Number of heads, kernel that filters the queries."""

    heads: int = choice(2, 3, 4, default=4)
    kernel: int = choice(3, 5, default=5, unit="px", meaning="depthwise kernel")


class Head(nn.Module):
    """One head of the cascade, on windows."""

    def __init__(self, dim: int, kernel: int) -> None:
        super().__init__()
        self.split = [KEY, KEY, dim]
        self.qkv = nn.Conv2d(dim, 2 * KEY + dim, 1, bias=False)
        self.norm = nn.BatchNorm2d(2 * KEY + dim)
        self.query = depthwise(KEY, kernel, bias=False)
        self.query_norm = nn.BatchNorm2d(KEY)
        self.bias = nn.Parameter(torch.zeros(WINDOW, WINDOW))

    def forward(self, x: Tensor) -> Tensor:
        """(B * windows, C / h, rows, columns) to the same shape."""
        rows, columns = x.shape[2:]
        q, k, v = self.norm(self.qkv(x)).split(self.split, 1)
        q = self.query_norm(self.query(q))
        table: Tensor = self.bias
        bias = table.flatten()[_offsets(x, rows, columns, table.device)]
        bias = bias.reshape(rows * columns, rows * columns)
        q, k, v = (tokens(part)[:, None] for part in (q, k, v))  # one head, (B * windows, 1, N, d)
        return maps(attend(q, k, v, bias)[:, 0], rows, columns)


class CascadedGroupAttention(nn.Module):
    """A cascade of attention heads on groups of channels, within windows."""

    def __init__(self, dim: int, options: CascadedGroupOptions) -> None:
        super().__init__()
        self.group = -(-dim // options.heads)
        self.heads = nn.ModuleList(Head(self.group, options.kernel) for _ in range(options.heads))
        self.project = nn.ParameterList(
            nn.init.trunc_normal_(torch.empty(dim, self.group), std=0.02)
            for _ in range(options.heads)
        )
        self.norm = nn.BatchNorm2d(dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        dim, height, width = x.shape[1:]
        x = x.permute(0, 2, 3, 1)
        if missing := self.group * len(self.heads) - dim:
            x = F.pad(x, (0, missing))
        t = to_windows(x, min(WINDOW, height), min(WINDOW, width))
        groups = t.reshape(*t.shape[:3], self.group, len(self.heads)).permute(4, 0, 1, 2, 3)
        outputs: list[Tensor] = []
        for head, group in zip(self.heads, groups.contiguous(), strict=True):
            z = group.permute(0, 3, 1, 2)
            outputs.append(head(outputs[-1] + z if outputs else z))
        weight = torch.cat(list(self.project), 1)  # (C, h * group)
        y = self.norm(F.conv2d(torch.relu(torch.cat(outputs, 1)), weight[:, :, None, None]))
        return from_windows(y.permute(0, 2, 3, 1), height, width).permute(0, 3, 1, 2)


@constants
def _offsets(rows: int, columns: int, device: torch.device) -> Tensor:
    """Index into a flattened table of absolute offsets for each pair of positions, (N * N,)."""
    row = torch.arange(rows, device=device).repeat_interleave(columns)
    column = torch.arange(columns, device=device).repeat(rows)
    down = (row[:, None] - row[None]).abs()
    right = (column[:, None] - column[None]).abs()
    return (down * WINDOW + right).flatten()


MIXERS.register(
    Family(
        "cascaded_group",
        CascadedGroupOptions,
        CascadedGroupAttention,
        paper="https://arxiv.org/abs/2305.07027",
        reference="timm.models.efficientvit_msra.LocalWindowAttention",
        nested=("dim", "kernel"),
    )
)
