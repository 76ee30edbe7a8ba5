"""Gaussian-mask attention equals its formula, written pair by pair."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

from search_spaces.mixers.attention.gaussian_mask import (
    GaussianMaskAttention,
    GaussianMaskOptions,
)


@pytest.mark.parametrize("gaussians", [1, 3])
@pytest.mark.parametrize(("width", "heads"), [(20, 1), (48, 3)])
def test_gaussian_mask_attention_equals_its_formula(
    randomised: Callable[[nn.Module], nn.Module], width: int, heads: int, gaussians: int
) -> None:
    own = randomised(GaussianMaskAttention(width, GaussianMaskOptions(gaussians, 16)))
    x = torch.randn(2, width, 3, 4, dtype=torch.float64)
    t = x.flatten(2).transpose(1, 2)
    q, k, v = (layer(t).reshape(2, 12, heads, 16) for layer in (own.q, own.k, own.v))
    y = torch.zeros(2, 12, heads, 16, dtype=torch.float64)
    for head in range(heads):
        for i in range(12):
            scores = torch.zeros(2, 12, dtype=torch.float64)
            for j in range(12):
                squared = (i // 4 - j // 4) ** 2 + (i % 4 - j % 4) ** 2
                mask = 0.0
                for m in range(gaussians):
                    spread = math.exp(own.width[head, m].item())
                    weight = own.weight[head, m].item()
                    mask += weight * math.exp(-squared / (2 * spread**2))
                scores[:, j] = mask * (q[:, i, head] * k[:, j, head]).sum(1) / 4
            y[:, i, head] = (scores.softmax(1)[:, :, None] * v[:, :, head]).sum(1)
    expected = own.project(y.flatten(2)).transpose(1, 2).reshape(x.shape)
    torch.testing.assert_close(own(x), expected, rtol=0, atol=1e-10)


def test_at_the_start_the_gaussians_of_a_head_are_2_4_and_8_wide_and_sum_to_one() -> None:
    own = GaussianMaskAttention(48, GaussianMaskOptions(3, 16))
    assert own.width.exp()[2].tolist() == pytest.approx([2, 4, 8])
    assert own._mask(torch.zeros(1), 2, 2).diagonal(dim1=1, dim2=2).flatten().tolist() == (
        pytest.approx([1] * 12)
    )
