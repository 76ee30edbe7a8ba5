"""The recursive gated convolution by its definition in the paper, with fused projections."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from search_spaces.mixers.convolution.gated_conv import GatedConv, GatedConvOptions


def gn_conv(own: GatedConv, x: Tensor, order: int, kernel: int) -> Tensor:
    """Equations 3.2 to 3.5 of HorNet: one projection, one filter, then a split, smallest first."""
    dim = x.shape[1]
    dims = [dim // 2 ** (order - 1 - k) for k in range(order)]
    features, filters = list(own.features)[::-1], list(own.filters)[::-1]
    weight = torch.cat([own.start.weight, *(layer.weight for layer in features)])
    bias = torch.cat([own.start.bias, *(layer.bias for layer in features)])
    fused = F.conv2d(x, weight[:, :, None, None], bias)
    p, q = torch.split(fused, [dims[0], sum(dims)], dim=1)
    q = F.conv2d(
        q,
        torch.cat([f.weight for f in filters]),
        torch.cat([f.bias for f in filters]),
        padding=kernel // 2,
        groups=sum(dims),
    )
    parts = torch.split(q, dims, dim=1)
    p = parts[0] * p / 3
    for k in range(order - 1):
        g = list(own.widen)[::-1][k]
        p = parts[k + 1] * F.conv2d(p, g.weight[:, :, None, None], g.bias) / 3
    return F.conv2d(p, own.project.weight[:, :, None, None], own.project.bias)


@pytest.mark.parametrize("width", [20, 48])
@pytest.mark.parametrize("order", [2, 3, 5])
@pytest.mark.parametrize("kernel", [3, 7])
def test_gated_conv_equals_the_papers_recursion(width: int, order: int, kernel: int) -> None:
    torch.manual_seed(0)
    own = GatedConv(width, GatedConvOptions(order, kernel)).double()
    x = torch.randn(2, width, 6, 5, dtype=torch.float64)
    torch.testing.assert_close(own(x), gn_conv(own, x, order, kernel), rtol=0, atol=1e-10)


def test_an_order_of_two_is_one_product_after_another() -> None:
    own = GatedConv(20, GatedConvOptions(2, 3)).double()
    x = torch.randn(1, 20, 4, 4, dtype=torch.float64)
    wide, half = (f(layer(x)) / 3 for f, layer in zip(own.filters, own.features, strict=True))
    expected = own.project(own.widen[0](own.start(x) * half) * wide)
    torch.testing.assert_close(own(x), expected, rtol=0, atol=1e-10)
