"""Random-feature attention: its quadratic formula, its directions, and what it estimates."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from search_spaces.mixers.linear.random_feature import (
    RandomFeatureAttention,
    RandomFeatureOptions,
    orthogonal_directions,
)


def exponent(u: Tensor, direction: Tensor) -> Tensor:
    """Logarithm of one positive feature of each row of `u`, Lemma 1 of the paper."""
    u = u / u.shape[-1] ** 0.25
    return u @ direction - (u * u).sum(-1) / 2


def features_of(u: Tensor, directions: Tensor) -> Tensor:
    """All features, without what a ratio of their sums does not depend on."""
    return torch.exp(torch.stack([exponent(u, direction) for direction in directions], dim=-1))


@pytest.mark.parametrize(("width", "heads"), [(20, 1), (48, 3)])
@pytest.mark.parametrize("features", [64, 256])
def test_random_feature_attention_equals_the_quadratic_formula(
    width: int, heads: int, features: int
) -> None:
    torch.manual_seed(0)
    own = RandomFeatureAttention(width, RandomFeatureOptions(features, 16)).double()
    x = torch.randn(2, width, 4, 5, dtype=torch.float64)
    t = x.flatten(2).transpose(1, 2)
    outputs = []
    for head in range(heads):
        rows = slice(16 * head, 16 * (head + 1))
        q, k, v = (F.linear(t, p.weight[rows], p.bias[rows]) for p in (own.q, own.k, own.v))
        q, k = features_of(q, own.directions), features_of(k, own.directions)
        scores = q @ k.transpose(1, 2)
        outputs.append(scores / scores.sum(-1, keepdim=True) @ v)
    expected = own.project(torch.cat(outputs, dim=2)).transpose(1, 2).reshape(x.shape)
    torch.testing.assert_close(own(x), expected, rtol=0, atol=1e-10)


def test_directions_are_orthogonal_in_blocks_and_as_long_as_gaussian_vectors() -> None:
    directions = torch.tensor(orthogonal_directions(256, 16))
    for block in directions.split(16):
        products = block @ block.T
        assert (products - torch.diag(products.diag())).abs().max() < 1e-12
    mean_square = directions.square().sum(1).mean()
    assert mean_square == pytest.approx(16, rel=0.1)  # 256 chi-squares of 16 degrees of freedom


def test_many_features_estimate_softmax_attention_well() -> None:
    torch.manual_seed(0)
    q, k = torch.randn(2, 40, 16, dtype=torch.float64) / 2
    exact = (q @ k.T / 4).exp()

    def error(count: int) -> float:
        directions = torch.tensor(orthogonal_directions(count, 16))
        pairs = ((exponent(q, w).exp(), exponent(k, w).exp()) for w in directions)
        estimate = sum(a[:, None] * b for a, b in pairs) / count
        return float(((estimate - exact) / exact).abs().median())

    assert error(16_384) < 0.05
    assert error(16_384) < error(64) / 3
