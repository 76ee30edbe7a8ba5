"""Kernelised attention with relative positions equals its quadratic formula."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from search_spaces.mixers.linear.kernel_rpe import KernelRpeAttention, KernelRpeOptions


@pytest.mark.parametrize("features", [16, 32])
@pytest.mark.parametrize("size", [(5, 4), (1, 17)])
@pytest.mark.parametrize(("width", "heads"), [(20, 1), (48, 3)])
def test_kernel_rpe_equals_its_formula(
    width: int, heads: int, size: tuple[int, int], features: int
) -> None:
    own = KernelRpeAttention(width, KernelRpeOptions(features, 16)).double()
    nn.init.normal_(own.bias)
    x = torch.randn(1, width, *size, dtype=torch.float64)
    t = x[0].flatten(1).T
    q, k, v = own.q(t), own.k(t), own.v(t)
    y = torch.zeros_like(v)
    for head in range(heads):
        part = slice(16 * head, 16 * (head + 1))
        unit = [u / u.norm(dim=1, keepdim=True) for u in (q[:, part], k[:, part])]
        f_q, f_k = (torch.exp(u @ own.directions.T) for u in unit)
        for i in range(len(t)):
            weights = torch.empty(len(t), dtype=torch.float64)
            for j in range(len(t)):
                down = j // size[1] - i // size[1]
                right = j % size[1] - i % size[1]
                down, right = (max(-13, min(13, offset)) + 13 for offset in (down, right))
                weights[j] = own.bias[head, down, right].exp() * (f_q[i] @ f_k[j])
            y[i, part] = weights @ v[:, part] / weights.sum()
    expected = own.project(y).T.reshape(x.shape)
    torch.testing.assert_close(own(x), expected, rtol=0, atol=1e-10)


def test_directions_are_orthogonal_in_blocks() -> None:
    directions = KernelRpeAttention(16, KernelRpeOptions(32, 16)).directions
    for block in directions.split(16):
        products = block @ block.T
        assert (products - torch.diag(products.diag())).abs().max() < 1e-5
