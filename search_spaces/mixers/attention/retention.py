"""Manhattan retention: attention fades with the distance, along both axes or one after the other.

    q = (W_q x) e^(i n theta),  k = (W_k x) e^(i n theta)        n: index of the position
    whole:  a = softmax(q k^T / sqrt(d)) . D,  D_nm = g^(|row_n - row_m| + |column_n - column_m|)
    axes:   a = a_H a_W,  each a softmax and a fading along its own axis
    y = W_o (concat_h a_h v_h + DW_5(v))        x, y: (B, C, H, W)

The rotation by theta is RetNet's, as in the authors' code. That code adds log D to the scores; this
is the paper's equation. A head keeps g = 1 - 2^(-2 - 4 f) of its attention at each step. Its f is
the next number of a sequence that fills [0, 1) evenly, so that no head's fading depends on how many
there are. Four heads fade as in the authors' networks; for more heads these have 5 f or 6 f.
Elastic: channels and heads (leading).
Paper: RMT, Fan et al. 2023, https://arxiv.org/abs/2309.11523 (Section 3.2)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from search_spaces.constants import constants
from search_spaces.family import MIXERS, Family, Options, choice
from search_spaces.layers import depthwise, heads_of, maps, merge_heads, split_heads, tokens


@dataclass(frozen=True)
class RetentionOptions(Options):
    """Whether all positions pair up, instead of those of a row or column; width of a head."""

    whole: bool = choice(False, True)
    head_dim: int = choice(16, 32, unit="channels", meaning="head width")


class Retention(nn.Module):
    """Self-attention with a decay over the Manhattan distance."""

    def __init__(self, dim: int, options: RetentionOptions) -> None:
        super().__init__()
        self.whole, self.head_dim = options.whole, options.head_dim
        self.heads = heads_of(dim, options.head_dim)
        inner = self.heads * options.head_dim
        self.q = nn.Linear(dim, inner)
        self.k = nn.Linear(dim, inner)
        self.v = nn.Linear(dim, inner)
        self.local = depthwise(inner, 5)
        self.project = nn.Linear(inner, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        height, width = x.shape[2:]
        t = tokens(x)
        values = self.v(t)  # (B, N, inner)
        q = self._rotated(split_heads(self.q(t), self.heads)) * self.head_dim**-0.5
        k = self._rotated(split_heads(self.k(t), self.heads))
        v = split_heads(values, self.heads)  # (B, heads, N, d)
        wide = torch.promote_types(x.dtype, torch.float32)
        rows = _decay(x, self.heads, height, x.device, wide).to(x.dtype)  # (heads, H, H)
        columns = _decay(x, self.heads, width, x.device, wide).to(x.dtype)
        if self.whole:
            decay = rows[:, :, None, :, None] * columns[:, None, :, None]
            y = _faded(q, k, v, decay.reshape(-1, height * width, height * width))
        else:
            grid = (-1, self.heads, height, width, self.head_dim)
            q, k, v = (part.reshape(grid) for part in (q, k, v))
            v = _faded(q, k, v, columns[:, None])
            q, k, v = (part.transpose(2, 3) for part in (q, k, v))
            y = _faded(q, k, v, rows[:, None]).transpose(2, 3).flatten(2, 3)
        y = merge_heads(y) + tokens(self.local(maps(values, height, width)))
        return maps(self.project(y), height, width)

    def _rotated(self, t: Tensor) -> Tensor:
        """Pairs of channels turned by angles that grow with the position, (B, heads, N, d)."""
        wide = torch.promote_types(t.dtype, torch.float32)
        cosine, sine = _turns(t, t.shape[2], self.head_dim, t.device, wide).to(t.dtype).unbind(0)
        real, imaginary = t.chunk(2, dim=3)
        turned = real * cosine - imaginary * sine, real * sine + imaginary * cosine
        return torch.cat(turned, dim=3)


def _faded(q: Tensor, k: Tensor, v: Tensor, decay: Tensor) -> Tensor:
    return ((q @ k.transpose(-2, -1)).softmax(-1) * decay) @ v


@constants
def _turns(count: int, head_dim: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Cosine and sine of the angle of each position and pair of channels, (2, count, d / 2)."""
    pairs = head_dim // 2
    slowness = torch.linspace(0, 1, pairs, device=device, dtype=dtype)
    position = torch.arange(count, device=device, dtype=dtype)
    angles = position[:, None] * 10000**-slowness
    return torch.stack((angles.cos(), angles.sin()))


@constants
def _decay(heads: int, side: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """What each head keeps between two positions of one axis, (heads, side, side)."""
    logs = [math.log(1 - 2 ** (-2 - 4 * _fraction(head))) for head in range(heads)]
    position = torch.arange(side, device=device, dtype=dtype)
    steps = (position[None] - position[:, None]).abs()
    return torch.exp(torch.tensor(logs, device=device, dtype=dtype)[:, None, None] * steps)


def _fraction(index: int) -> float:
    """Van der Corput's sequence: 0, 1/2, 1/4, 3/4, 1/8, ..."""
    digits = f"{index:b}"
    return int(digits[::-1], 2) / float(2 ** len(digits))


MIXERS.register(
    Family(
        "retention",
        RetentionOptions,
        Retention,
        paper="https://arxiv.org/abs/2309.11523",
        nested=("dim",),
    )
)
