"""Injective linear attention: all pairs of positions, scores that sum to one, local kernels."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from search_spaces.mixers.linear.injective_linear import (
    InjectiveLinearAttention,
    InjectiveLinearOptions,
)


def local_kernels(own: InjectiveLinearAttention, mean: Tensor, head: int, width: int) -> Tensor:
    """The 3 x 3 kernels of a head's channels of one image, (width, 3, 3)."""
    (layers,) = own.local.values()
    seen = mean[width * head : width * (head + 1)]
    hidden = F.gelu(seen @ layers.hidden.weight[head] + layers.hidden.bias[head])
    flat = hidden @ layers.kernels.weight[head] + layers.kernels.bias[head]
    return flat.reshape(width, 3, 3)


@pytest.mark.parametrize(("width", "heads"), [(20, 1), (48, 3)])
def test_injective_attention_equals_the_quadratic_formula(width: int, heads: int) -> None:
    torch.manual_seed(0)
    own = InjectiveLinearAttention(width, InjectiveLinearOptions(16)).double()
    x = torch.randn(2, width, 5, 6, dtype=torch.float64)
    t = x.flatten(2).transpose(1, 2)
    y = torch.zeros(2, 30, 16 * heads, dtype=torch.float64)
    for image in range(2):
        for head in range(heads):
            rows = slice(16 * head, 16 * (head + 1))
            q, k, v = (
                F.linear(t[image], p.weight[rows], p.bias[rows]) for p in (own.q, own.k, own.v)
            )
            scores = q @ k.T / 4 / 30
            scores = scores - scores.mean(1, keepdim=True) + 1 / 30  # Equation 4
            torch.testing.assert_close(scores.sum(1), torch.ones(30, dtype=torch.float64))
            kernels = local_kernels(own, t[image].mean(0), head, 16)
            plane = v.T.reshape(1, 16, 5, 6)
            local = F.conv2d(plane, kernels[:, None], padding=1, groups=16)
            y[image, :, rows] = scores @ v + local.flatten(2)[0].T
    expected = own.project(y).transpose(1, 2).reshape(x.shape)
    torch.testing.assert_close(own(x), expected, rtol=0, atol=1e-10)


def test_a_head_wider_than_the_map_has_zeros_for_the_missing_channels() -> None:
    torch.manual_seed(0)
    own = InjectiveLinearAttention(20, InjectiveLinearOptions(32)).double()
    (layers,) = own.local.values()
    mean = torch.randn(1, 20, dtype=torch.float64)
    padded = F.pad(mean, (0, 12))[0]
    expected = local_kernels(own, padded, 0, 32).flatten(1)
    torch.testing.assert_close(layers(mean)[0], expected, rtol=0, atol=1e-10)
