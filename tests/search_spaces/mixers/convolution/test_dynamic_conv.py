"""Context-mixing dynamic convolution, group by group and position by position."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from search_spaces.mixers.convolution.dynamic_conv import DynamicConv, DynamicConvOptions


@pytest.mark.parametrize("width", [20, 32])
@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("size", [(5, 9), (14, 7)])
def test_dynamic_convolution_equals_its_equations(
    width: int, kernel: int, size: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    own = DynamicConv(width, DynamicConvOptions(kernel, 16)).double()
    nn.init.normal_(own.bias)
    x = torch.randn(1, width, *size, dtype=torch.float64)
    pooled = F.adaptive_avg_pool2d(x, 7).flatten(2)[0].T  # (49, C)
    padded = F.pad(x, [kernel // 2] * 4)[0]
    y = torch.empty_like(x)
    mix = own.mix.reshape(49, -1)
    for group in range(-(-width // 16)):
        rows = slice(8 * group, 8 * (group + 1))
        channels = slice(16 * group, min(width, 16 * (group + 1)))
        keys = pooled @ own.k.weight[rows].T + own.k.bias[rows]
        for row in range(size[0]):
            for column in range(size[1]):
                query = own.q.weight[rows] @ x[0, :, row, column] + own.q.bias[rows]
                affinity = keys @ query / 4  # (49,)
                entries = (affinity @ mix + own.bias[group].flatten()).softmax(0)
                seen = padded[channels, row : row + kernel, column : column + kernel]
                y[0, channels, row, column] = (seen.flatten(1) * entries).sum(1)
    expected = torch.einsum("oc,bchw->bohw", own.project.weight, y)
    expected = expected + own.project.bias[:, None, None]
    torch.testing.assert_close(own(x), expected, rtol=0, atol=1e-10)
