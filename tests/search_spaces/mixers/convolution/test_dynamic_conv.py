"""Context-mixing dynamic convolution, group by group and position by position."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.folding import NormedLinear
from search_spaces.mixers.convolution.dynamic_conv import DynamicConv, DynamicConvOptions


def _line(layer: nn.Module) -> tuple[Tensor, Tensor]:
    """Matrix and shift of a projection; those of a norm by its formula."""
    if not isinstance(layer, NormedLinear):
        return layer.weight, layer.bias
    norm = layer.norm
    factor = norm.weight / (norm.running_var + 1e-5).sqrt()
    return layer.linear.weight * factor[:, None], norm.bias - norm.running_mean * factor


def _expected(own: DynamicConv, x: Tensor) -> Tensor:
    """The module's equations for one image, in loops."""
    (query_w, query_b), (key_w, key_b) = _line(own.q), _line(own.k)
    pooled = F.adaptive_avg_pool2d(x, 7).flatten(2)[0].T  # (49, C)
    y = torch.empty_like(x)
    width, (height, length) = x.shape[1], x.shape[2:]
    for group in range(-(-width // 16)):
        rows, first = slice(8 * group, 8 * (group + 1)), 16 * group
        sets = [(own.mix, own.bias, slice(first, min(width, first + 16)))]
        if own.small_mix is not None:
            middle = min(width, first + 8)
            sets = [
                (own.small_mix, own.small_bias, slice(first, middle)),
                (own.mix, own.bias, slice(middle, min(width, first + 16))),
            ]
        keys = pooled @ key_w[rows].T + key_b[rows]
        for mix, bias, channels in sets:
            side = mix.shape[2]
            padded = F.pad(x, [side // 2] * 4)[0]
            for row in range(height):
                for column in range(length):
                    query = query_w[rows] @ x[0, :, row, column] + query_b[rows]
                    scores = (keys @ query / 4) @ mix.reshape(49, -1) + bias[group].flatten()
                    seen = padded[channels, row : row + side, column : column + side]
                    y[0, channels, row, column] = (seen.flatten(1) * scores.softmax(0)).sum(1)
    weight, bias = _line(own.project)
    return torch.einsum("oc,bchw->bohw", weight, y) + bias[:, None, None]


@pytest.mark.parametrize("width", [20, 32])
@pytest.mark.parametrize("kernel", [3, 7])
@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize("norm", ["none", "batch"])
def test_dynamic_convolution_equals_its_equations(
    width: int, kernel: int, small: bool, norm: str
) -> None:
    torch.manual_seed(0)
    own = DynamicConv(width, DynamicConvOptions(kernel, 16, small, norm)).double().eval()
    for name, tensor in own.state_dict().items():
        if name.endswith("running_var"):
            nn.init.uniform_(tensor, 0.5, 2.0)
        elif tensor.is_floating_point() and "mix" not in name:
            nn.init.normal_(tensor, std=0.5)
    for size in ((5, 9), (8, 7)):
        x = torch.randn(1, width, *size, dtype=torch.float64)
        torch.testing.assert_close(own(x), _expected(own, x), rtol=0, atol=1e-10)
    plain = own.settled()
    assert plain.options == DynamicConvOptions(kernel, 16, small)
    torch.testing.assert_close(plain(x), own(x), rtol=0, atol=1e-10)
