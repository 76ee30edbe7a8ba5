"""Concentrated linear attention equals its formula over all pairs of positions."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from search_spaces.mixers.linear.concentrated_linear import (
    ConcentratedLinearAttention,
    ConcentratedLinearOptions,
)


@pytest.mark.parametrize(("width", "heads"), [(20, 1), (48, 3)])
@pytest.mark.parametrize("scale", [0.1, 10.0])  # sums of scores below and above 100
def test_concentrated_attention_equals_the_quadratic_formula(
    width: int, heads: int, scale: float
) -> None:
    torch.manual_seed(0)
    own = ConcentratedLinearAttention(width, ConcentratedLinearOptions(7, 16)).double().eval()
    nn.init.uniform_(own.temperature)
    nn.init.uniform_(own.norm2.running_var, 0.5, 2.0)
    x = scale * torch.randn(2, width, 5, 6, dtype=torch.float64)
    t = x.flatten(2).transpose(1, 2)
    outputs, totals = [], []
    for head in range(heads):
        rows = slice(16 * head, 16 * (head + 1))
        q, k, v = (F.linear(t, p.weight[rows], p.bias[rows]) for p in (own.q, own.k, own.v))
        scores = q.relu() @ k.relu().transpose(1, 2)
        totals.append(scores.sum(-1, keepdim=True))
        outputs.append(own.temperature[head] * scores @ v / totals[-1].clamp(100))
    assert (torch.stack(totals).median() > 100) == (scale > 1)
    u = own.project(torch.cat(outputs, dim=2))
    z = F.layer_norm(t + u, (width,), own.norm1.weight, own.norm1.bias, 1e-6)
    z = z.transpose(1, 2).reshape(x.shape)
    z = F.gelu(F.conv2d(z, own.local1.weight, own.local1.bias, padding=3, groups=width))
    z = z / (own.norm2.running_var + 1e-5).sqrt()[:, None, None]
    z = F.conv2d(z, own.local2.weight, own.local2.bias, padding=3, groups=width)
    expected = u.transpose(1, 2).reshape(x.shape) + z
    torch.testing.assert_close(own(x), expected, rtol=0, atol=1e-10)
