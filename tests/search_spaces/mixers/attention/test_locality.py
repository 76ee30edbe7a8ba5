"""Locality self-attention equals its equation, written pair by pair."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

from search_spaces.mixers.attention.locality import LocalityAttention, LocalityOptions


@pytest.mark.parametrize(("width", "heads"), [(20, 1), (48, 3)])
@pytest.mark.parametrize(("rows", "columns"), [(3, 5), (1, 2)])
@torch.no_grad()
def test_locality_attention_equals_its_equation(
    randomised: Callable[[nn.Module], nn.Module], width: int, heads: int, rows: int, columns: int
) -> None:
    own, count = randomised(LocalityAttention(width, LocalityOptions(16))), rows * columns
    x = torch.randn(2, width, rows, columns, dtype=torch.float64)
    seen = torch.zeros(2, count, heads * 16, dtype=torch.float64)
    for image, positions in enumerate(x.flatten(2).transpose(1, 2)):
        q, k, v = (positions @ layer.weight.T for layer in (own.q, own.k, own.v))
        for head in range(heads):
            temperature = math.sqrt(16) / own.sharpness[head].item()
            part = slice(16 * head, 16 * head + 16)
            for i in range(count):
                others = [j for j in range(count) if j != i]
                scores = [float(q[i, part] @ k[j, part]) / temperature for j in others]
                total = sum(math.exp(score) for score in scores)
                for j, score in zip(others, scores, strict=True):
                    seen[image, i, part] += math.exp(score) / total * v[j, part]
    y = seen @ own.project.weight.T + own.project.bias
    expected = y.transpose(1, 2).reshape(x.shape)
    torch.testing.assert_close(own(x), expected, rtol=0, atol=1e-10)


def test_the_only_position_of_a_map_sees_itself(
    randomised: Callable[[nn.Module], nn.Module],
) -> None:
    own = randomised(LocalityAttention(20, LocalityOptions(16)))
    x = torch.randn(2, 20, 1, 1, dtype=torch.float64)
    expected = own.project(own.v(x.flatten(1)))
    torch.testing.assert_close(own(x).flatten(1), expected, rtol=0, atol=1e-12)
