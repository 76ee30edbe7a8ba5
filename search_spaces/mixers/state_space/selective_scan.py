"""Selective scan: states that run over the map in several directions, in steps of chosen size.

    h_t = exp(-D_t e^A) h_{t-1} + D_t b_t v_t^T,   z_t = c_t h_t + s v_t      per direction, head
    v = silu(DW_3 * (W_v x)),   D = softplus(W_D v + d),   b = W_b v,   c = W_c v
    y = W_o (LN(sum of z over directions) * silu(W_g x))                      x, y: (B, C, H, W)

Directions are row by row and its reverse; with four, column by column and its reverse too. As the
decay is one number for each head, a scan is a masked product of positions within a chunk of 64
and a product with the state that enters the chunk: its cost is linear in positions.
Elastic: channels and heads of 16 (leading), directions and entries of the state (leading).
The scan is Mamba-2's, the block around it VMamba's: D, b and c are made from v, and the norm comes
before the gate. VMamba's first block has twice as many channels inside, this one as many.
Papers: Mamba-2, Dao and Gu 2024, https://arxiv.org/abs/2405.21060 (Sections 3 and 6); directions
and block as in VMamba, Liu et al. 2024, https://arxiv.org/abs/2401.10166 (Section 4). HSIDMamba
scans in eight directions, which is not built here
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.family import MIXERS, Family, Options, choice
from search_spaces.layers import PointwiseLinear, depthwise, heads_of, merge_heads, split_heads
from search_spaces.slicing import leading

CHUNK = 64  # positions whose products are formed at once
HEAD = 16  # channels that share a decay
STEPS = (1e-3, 0.1)  # range of the initial step sizes, as in Mamba
DECAYS = (1.0, 16.0)  # range of the initial decays


@dataclass(frozen=True)
class SelectiveScanOptions(Options):
    """How many directions, entries of the state for each channel."""

    directions: int = choice(2, 4)
    state: int = choice(8, 16)


class SelectiveScan(nn.Module):
    """State-space mixing of a map in both ways along one or both of its axes."""

    def __init__(self, dim: int, options: SelectiveScanOptions) -> None:
        super().__init__()
        self.directions, self.state = options.directions, options.state
        self.heads = heads_of(dim, HEAD)
        inner = self.heads * HEAD
        self.value = PointwiseLinear(dim, inner)
        self.gate = PointwiseLinear(dim, inner)
        self.local = depthwise(inner, 3)
        self.step = _matrices(self.directions, self.heads, inner)
        self.enter = _matrices(self.directions, self.state, inner)
        self.leave = _matrices(self.directions, self.state, inner)
        each = (self.directions, self.heads)
        steps = torch.empty(each).uniform_(*map(math.log, STEPS)).exp()
        self.step_bias = nn.Parameter(steps.expm1().log())  # softplus gives the steps again
        self.decay = nn.Parameter(torch.empty(each).uniform_(*DECAYS).log())
        self.skip = nn.Parameter(torch.ones(each))
        self.norm = nn.LayerNorm(inner)
        self.project = PointwiseLinear(inner, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        height, width = x.shape[2:]
        v = F.silu(self.local(self.value(x))).permute(0, 2, 3, 1)  # (B, H, W, inner)
        weights = torch.cat([self.step, self.enter, self.leave], dim=1)
        chosen = torch.unflatten(F.linear(v, weights.flatten(0, 1)), 3, (self.directions, -1))
        sequences = range(self.directions)
        z = self._scan(
            torch.stack([_sequence(v, i) for i in sequences], dim=1),
            torch.stack([_sequence(chosen[..., i, :], i) for i in sequences], dim=1),
        )  # (B, directions, N, inner)
        planes = [_plane(z[:, i], i, height, width) for i in sequences]
        y: Tensor = self.norm(torch.stack(planes).sum(0)).permute(0, 3, 1, 2)
        y = self.project(y * F.silu(self.gate(x)))
        return y

    def _scan(self, v: Tensor, chosen: Tensor) -> Tensor:
        """Scan values (B, directions, N, inner); steps, b and c (B, directions, N, h + 2 S)."""
        step, enter, leave = torch.split(chosen, [self.heads, self.state, self.state], dim=3)
        step = F.softplus(step + self.step_bias[:, None]).transpose(2, 3)[..., None]
        log_decay = -step * self.decay.exp()[..., None, None]  # (B, directions, h, N, 1)
        values = torch.unflatten(split_heads(v.flatten(0, 1), self.heads), 0, v.shape[:2])
        z = chunked_scan(values * step, log_decay, enter[:, :, None], leave[:, :, None])
        z = z + values * self.skip[..., None, None]
        return torch.unflatten(merge_heads(z.flatten(0, 1)), 0, v.shape[:2])


def _matrices(count: int, rows: int, columns: int) -> nn.Parameter:
    """Matrices (count, rows, columns), initialised as linear layers are."""
    bound = columns**-0.5
    return nn.Parameter(torch.empty(count, rows, columns).uniform_(-bound, bound))


def chunked_scan(v: Tensor, log_decay: Tensor, enter: Tensor, leave: Tensor) -> Tensor:
    """z_t = leave_t h_t with h_t = exp(log_decay_t) h_{t-1} + enter_t^T v_t, from h = 0.

    Shapes: v (..., N, d), log_decay (..., N, 1), enter and leave (..., N, state); result like v.
    """
    count = v.shape[-2]
    size = min(CHUNK, count)

    def chunks(t: Tensor) -> Tensor:
        return torch.unflatten(F.pad(t, (0, 0, 0, -count % size)), -2, (-1, size))

    v, log_decay, enter, leave = (chunks(t) for t in (v, log_decay, enter, leave))
    # Differences of long sums need more than a half precision.
    wide = torch.promote_types(v.dtype, torch.float32)
    total = log_decay.to(wide).cumsum(-2)  # (..., chunks, size, 1), within each chunk
    within = _decays_between(total.squeeze(-1)).to(v.dtype) * (leave @ enter.transpose(-2, -1))
    z = within @ v
    if v.shape[-3] > 1:
        whole = total[..., -1:, :]  # (..., chunks, 1, 1)
        kept = (whole - total).exp().to(v.dtype)
        states = (enter * kept).transpose(-2, -1) @ v  # what each chunk adds
        # The state after chunk j enters chunk i > j, having decayed in the chunks between.
        passed = _decays_between(whole[..., 0, 0].cumsum(-1)).to(v.dtype)
        entering = passed[..., :-1, :] @ states.flatten(-2)
        entering = torch.unflatten(F.pad(entering, (0, 0, 1, 0)), -1, states.shape[-2:])
        z = z + (leave * total.exp().to(v.dtype)) @ entering
    return z.flatten(-3, -2)[..., :count, :]


def _decays_between(total: Tensor) -> Tensor:
    """From sums of logarithms (..., n): exp(total_i - total_j) for i >= j, else 0; (..., n, n)."""
    position = torch.arange(total.shape[-1], device=total.device)
    later = position[:, None] < position
    between = total[..., :, None] - total[..., None, :]
    return between.masked_fill(later, -torch.inf).exp()


def _sequence(t: Tensor, direction: int) -> Tensor:
    """A map (B, H, W, C) in the order of a direction, (B, H*W, C)."""
    t = (t.transpose(1, 2) if direction >= 2 else t).flatten(1, 2)
    return t.flip(1) if direction % 2 else t


def _plane(t: Tensor, direction: int, height: int, width: int) -> Tensor:
    """The map (B, H, W, C) whose sequence in that direction is `t`."""
    t = t.flip(1) if direction % 2 else t
    if direction >= 2:
        return torch.unflatten(t, 1, (width, height)).transpose(1, 2)
    return torch.unflatten(t, 1, (height, width))


MIXERS.register(
    Family(
        "selective_scan",
        SelectiveScanOptions,
        SelectiveScan,
        paper="https://arxiv.org/abs/2405.21060",
        nested=("directions", "state"),  # the norm averages over channels
        cut=lambda name, largest, child: leading(largest, child),
    )
)
