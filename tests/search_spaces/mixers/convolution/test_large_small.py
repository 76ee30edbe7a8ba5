"""Large-small convolution, position by position, with a kernel for each group of channels."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.mixers.convolution.large_small import LargeSmall, LargeSmallOptions


def normed(x: Tensor, norm: nn.BatchNorm2d) -> Tensor:
    mean, variance = norm.running_mean[:, None, None], norm.running_var[:, None, None]
    y = (x - mean) / (variance + 1e-5).sqrt()
    return y * norm.weight[:, None, None] + norm.bias[:, None, None]


def pointwise(x: Tensor, layer: nn.Linear) -> Tensor:
    return torch.einsum("oc,bchw->bohw", layer.weight, x)


@pytest.mark.parametrize("width", [20, 32])
@pytest.mark.parametrize("kernel", [5, 7])
def test_large_small_convolution_equals_its_equations(width: int, kernel: int) -> None:
    torch.manual_seed(0)
    own = LargeSmall(width, LargeSmallOptions(kernel)).double().eval()
    for name, tensor in [*own.named_parameters(), *own.named_buffers()]:
        if name.startswith("norm") and tensor.is_floating_point():
            nn.init.uniform_(tensor, 0.5, 2.0)
    x = torch.randn(2, width, 5, 6, dtype=torch.float64)
    p = F.relu(normed(pointwise(x, own.reduce), own.norm1))
    p = F.conv2d(p, own.large.weight, padding=kernel // 2, groups=width // 2)
    p = F.relu(normed(pointwise(normed(p, own.norm2), own.mix), own.norm3))
    w = pointwise(p, own.kernels) + own.kernels.bias[:, None, None]
    padded = F.pad(x, (1, 1, 1, 1))
    y = torch.empty_like(x)
    for channel in range(width):
        entries = slice(9 * (channel // 8), 9 * (channel // 8 + 1))
        mean = w[:, entries].mean((1, 2, 3), keepdim=True)
        variance = w[:, entries].var((1, 2, 3), correction=0, keepdim=True)
        kernels = (w[:, entries] - mean) / (variance + 1e-5).sqrt()
        kernels = kernels * own.norm4.weight[entries, None, None]
        kernels = kernels + own.norm4.bias[entries, None, None]
        for row in range(5):
            for column in range(6):
                seen = padded[:, channel, row : row + 3, column : column + 3].flatten(1)
                y[:, channel, row, column] = (seen * kernels[:, :, row, column]).sum(1)
    torch.testing.assert_close(own(x), normed(y, own.norm5), rtol=0, atol=1e-10)
