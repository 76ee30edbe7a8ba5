"""Strip attention equals its formula, written position by position."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from search_spaces.mixers.attention.strip import StripAttention, StripOptions


@pytest.mark.parametrize("ratio", [2, 4])
@pytest.mark.parametrize("key_dim", [1, 4])
@pytest.mark.parametrize(("width", "heads"), [(20, 1), (48, 3)])
def test_strip_attention_equals_its_formula(
    randomised: Callable[[nn.Module], nn.Module], width: int, heads: int, key_dim: int, ratio: int
) -> None:
    own = randomised(StripAttention(width, StripOptions(ratio, key_dim, 16)))
    x = torch.randn(2, width, 5, 6, dtype=torch.float64)
    padded = F.pad(x, (0, -6 % ratio, 0, -5 % ratio))
    groups = []
    for row in range(0, padded.shape[2], ratio):
        for column in range(0, padded.shape[3], ratio):
            group = padded[:, :, row : row + ratio, column : column + ratio]
            groups.append((group * own.reduce.weight[:, 0]).sum((2, 3)) + own.reduce.bias)
    z = torch.stack(groups, 1)
    q, k, v = own.q(x.flatten(2).transpose(1, 2)), own.k(z), own.v(z)
    y = torch.zeros(2, 30, heads * 16, dtype=torch.float64)
    for head in range(heads):
        thin = slice(key_dim * head, key_dim * (head + 1))
        wide = slice(16 * head, 16 * (head + 1))
        for i in range(30):
            scores = torch.stack(
                [(q[:, i, thin] * k[:, j, thin]).sum(1) for j in range(z.shape[1])], 1
            )
            weights = (scores / key_dim**0.5).softmax(1)
            y[:, i, wide] = (weights[:, :, None] * v[:, :, wide]).sum(1)
    expected = own.project(y).transpose(1, 2).reshape(x.shape)
    torch.testing.assert_close(own(x), expected, rtol=0, atol=1e-10)
