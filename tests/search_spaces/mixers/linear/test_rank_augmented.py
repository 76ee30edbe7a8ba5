"""Rank-augmented attention equals the formula over all pairs of positions."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from search_spaces.mixers.linear.rank_augmented import (
    RankAugmentedAttention,
    RankAugmentedOptions,
)


@pytest.mark.parametrize(("width", "heads"), [(20, 1), (48, 3)])
@pytest.mark.parametrize("kernel", [3, 5])
def test_rank_augmented_attention_equals_the_quadratic_formula(
    width: int, heads: int, kernel: int
) -> None:
    torch.manual_seed(0)
    own = RankAugmentedAttention(width, RankAugmentedOptions(kernel, 16)).double()
    x = torch.randn(2, width, 5, 6, dtype=torch.float64)
    t = x.flatten(2).transpose(1, 2)
    outputs = []
    for head in range(heads):
        rows = slice(16 * head, 16 * (head + 1))
        q, k, v = (F.linear(t, p.weight[rows], p.bias[rows]) for p in (own.q, own.k, own.v))
        q, k = F.elu(q) + 1, F.elu(k) + 1
        weights = 30 * torch.einsum("bd,bnd->bn", q.mean(1), k / 4).softmax(dim=1)
        scores = torch.einsum("bnd,bmd,bm->bnm", q, k, weights)
        outputs.append(scores @ v / (scores.sum(-1, keepdim=True) + 30e-6))  # mean of keys + 1e-6
    v = F.linear(t, own.v.weight, own.v.bias).transpose(1, 2).reshape(2, -1, 5, 6)
    local = F.conv2d(v, own.local.weight, own.local.bias, padding=kernel // 2, groups=v.shape[1])
    y = torch.cat(outputs, dim=2) + local.flatten(2).transpose(1, 2)
    expected = own.project(y * own.gate(t)).transpose(1, 2).reshape(x.shape)
    torch.testing.assert_close(own(x), expected, rtol=0, atol=1e-10)


def test_heads_of_16_channels_give_features_of_full_rank() -> None:
    torch.manual_seed(0)
    own = RankAugmentedAttention(32, RankAugmentedOptions(3, 16)).double()
    seen: list[torch.Tensor] = []
    own.project.register_forward_pre_hook(lambda _, given: seen.append(given[0][0]))
    own(torch.randn(1, 32, 8, 8, dtype=torch.float64))
    assert torch.linalg.matrix_rank(seen[0]) == 32
