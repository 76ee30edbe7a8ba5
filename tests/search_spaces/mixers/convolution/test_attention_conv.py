"""Attention in a convolution equals its equation, written window by window."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from search_spaces.mixers.convolution.attention_conv import AttentionConv, AttentionConvOptions


@pytest.mark.parametrize("width", [6, 20])
@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("size", [(5, 6), (1, 2)])
def test_attention_convolution_equals_its_equation(
    width: int, kernel: int, dilation: int, size: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    own = AttentionConv(width, AttentionConvOptions(kernel, dilation)).double()
    x = torch.randn(1, width, *size, dtype=torch.float64)
    q, k, v = (
        torch.einsum("oc,chw->hwo", layer.weight, x[0]) + layer.bias
        for layer in (own.q, own.k, own.v)
    )
    mixed = x[0].clone()
    outside = torch.zeros(width, dtype=torch.float64)
    reach = range(-(kernel // 2), kernel // 2 + 1)
    for row in range(size[0]):
        for column in range(size[1]):
            scores, values = [], []
            for i in (row + dilation * step for step in reach):
                for j in (column + dilation * step for step in reach):
                    there = 0 <= i < size[0] and 0 <= j < size[1]
                    key, value = (k[i, j], v[i, j]) if there else (outside, outside)
                    scores.append((q[row, column] @ key / math.sqrt(width)).exp())
                    values.append(value)
            for score, value in zip(scores, values, strict=True):
                mixed[:, row, column] += score / sum(scores) * value
    convolved = F.conv2d(mixed[None], own.conv.weight, padding=kernel // 2)
    torch.testing.assert_close(own(x), convolved.clamp(min=0), rtol=0, atol=1e-10)


def test_a_lone_position_gives_its_value_one_share_among_the_windows_zeros() -> None:
    own = AttentionConv(1, AttentionConvOptions(3, 1))
    with torch.no_grad():
        for layer in (own.q, own.k):
            layer.weight.zero_()
            layer.bias.zero_()
        own.v.weight.fill_(1)
        own.v.bias.zero_()
        own.conv.weight.zero_()
        own.conv.weight[0, 0, 1, 1] = 1
    assert own(torch.full((1, 1, 1, 1), 9.0)).item() == pytest.approx(9 + 1)
