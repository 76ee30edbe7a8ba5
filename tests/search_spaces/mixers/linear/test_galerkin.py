"""Galerkin attention equals the product of all pairs of positions, head by head."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from search_spaces.mixers.linear.galerkin import Galerkin, GalerkinOptions


@pytest.mark.parametrize(("width", "heads"), [(20, 1), (48, 3)])
def test_galerkin_attention_equals_the_quadratic_formula(width: int, heads: int) -> None:
    torch.manual_seed(0)
    own = Galerkin(width, GalerkinOptions(16)).double()
    for norm in (own.norm_k, own.norm_v):
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    x = torch.randn(2, width, 5, 6, dtype=torch.float64)
    t = x.flatten(2).transpose(1, 2)
    outputs = []
    for head in range(heads):
        rows = slice(16 * head, 16 * (head + 1))
        q, k, v = (F.linear(t, p.weight[rows], p.bias[rows]) for p in (own.q, own.k, own.v))
        k = F.layer_norm(k, (16,), own.norm_k.weight[rows], own.norm_k.bias[rows], 1e-5)
        v = F.layer_norm(v, (16,), own.norm_v.weight[rows], own.norm_v.bias[rows], 1e-5)
        outputs.append((q @ k.transpose(1, 2)) @ v / 30)
    expected = own.project(torch.cat(outputs, dim=2)).transpose(1, 2).reshape(x.shape)
    torch.testing.assert_close(own(x), expected, rtol=0, atol=1e-10)
