"""Aggregated attention equals the authors' arithmetic, written position by position."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.mixers.attention.aggregated import AggregatedAttention, AggregatedOptions


def unit(u: Tensor) -> Tensor:
    return u / u.square().sum(-1, keepdim=True).sqrt()


def bins(side: int, count: int) -> list[range]:
    """The positions that each pooled position is the mean of."""
    edges = [(i * side / count, (i + 1) * side / count) for i in range(count)]
    return [range(math.floor(start), math.ceil(end)) for start, end in edges]


def scaled(offset: float, side: int) -> float:
    """Section 3.1: log-spaced offsets on a map that is 8 wide."""
    wide = offset / max(1, side - 1) * 8
    return math.copysign(math.log2(abs(wide) + 1) / math.log2(8), wide)


@pytest.mark.parametrize(("size", "ratio"), [((6, 8), 2), ((5, 7), 2), ((5, 6), 4), ((1, 2), 8)])
@pytest.mark.parametrize(("width", "heads"), [(20, 1), (48, 3)])
def test_aggregated_attention_equals_its_formula(
    randomised: Callable[[nn.Module], nn.Module],
    width: int,
    heads: int,
    size: tuple[int, int],
    ratio: int,
) -> None:
    own = randomised(AggregatedAttention(width, AggregatedOptions(ratio, 16)))
    x = torch.randn(1, width, *size, dtype=torch.float64)
    t = x[0].permute(1, 2, 0)  # (H, W, C)
    activated = F.gelu(own.pool(t))
    rows, columns = (bins(side, max(1, side // ratio)) for side in size)
    z = torch.stack([activated[list(r)][:, list(c)].mean((0, 1)) for r in rows for c in columns])
    z = F.layer_norm(z, (width,), own.norm.weight, own.norm.bias)
    centres = [(sum(r) / len(r), sum(c) / len(c)) for r in rows for c in columns]
    outputs = torch.zeros(*size, heads, 16, dtype=torch.float64)
    for h in range(heads):
        part = slice(16 * h, 16 * (h + 1))
        queries, keys, values = unit(own.q(t)[..., part]), unit(own.k(t)[..., part]), own.v(t)
        far_keys, far_values = unit(own.k(z)[:, part]), own.v(z)[:, part]
        for i in range(size[0]):
            for j in range(size[1]):
                near = [
                    (3 * a + b, i + a - 1, j + b - 1)
                    for a in range(3)
                    for b in range(3)
                    if 0 <= i + a - 1 < size[0] and 0 <= j + b - 1 < size[1]
                ]
                q = (queries[i, j] + own.query[part]) * F.softplus(own.temperature[h])
                q = q * math.log(len(near) + len(z))
                scores = [q @ keys[r, c] + own.near_bias[h, at] for at, r, c in near]
                for m, (row, column) in enumerate(centres):
                    offset = [scaled(i - row, size[0]), scaled(j - column, size[1])]
                    hidden = own.position(torch.tensor(offset, dtype=torch.float64)).clamp(min=0)
                    scores.append(q @ far_keys[m] + own.position_bias(hidden)[h])
                weights = torch.stack(scores).softmax(0)
                y = weights[len(near) :] @ far_values
                for weight, (at, r, c) in zip(weights, near, strict=False):
                    learned = queries[i, j] @ own.token[part, at] + own.token_bias[h, at]
                    y = y + (weight + learned) * values[r, c, part]
                outputs[i, j, h] = y
    expected = own.project(outputs.flatten(2)).permute(2, 0, 1)[None]
    torch.testing.assert_close(own(x), expected, rtol=0, atol=1e-10)
