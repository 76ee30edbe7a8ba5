"""The feed-forward attention of FFNet, position by position."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.mixers.convolution.metamixer import MetaMixer, MetaMixerOptions, TwoKernels


def normed(x: Tensor, norm: nn.BatchNorm2d) -> Tensor:
    weight, bias, mean, var = (
        tensor[:, None, None]
        for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var)
    )
    return weight * (x - mean) / (var + 1e-5).sqrt() + bias


def correlate(x: Tensor, kernels: nn.Module, side: int) -> Tensor:
    """Each channel with its own kernel, or its two; the map is zero beyond its border."""
    if isinstance(kernels, TwoKernels):
        large = normed(correlate(x, kernels.large.conv, side), kernels.large.norm)
        return large + normed(correlate(x, kernels.small.conv, 3), kernels.small.norm)
    bias = torch.zeros(x.shape[1]) if kernels.bias is None else kernels.bias
    height, width = x.shape[2:]
    padded = F.pad(x, [side // 2] * 4)
    y = torch.empty_like(x)
    for row in range(height):
        for column in range(width):
            seen = padded[:, :, row : row + side, column : column + side]
            y[:, :, row, column] = (seen * kernels.weight[:, 0]).sum((2, 3)) + bias
    return y


@pytest.mark.parametrize("kernel", [3, 7])
@pytest.mark.parametrize("norm", ["none", "batch", "branches"])
def test_metamixer_equals_its_equation(kernel: int, norm: str) -> None:
    torch.manual_seed(0)
    own = MetaMixer(20, MetaMixerOptions(kernel, norm)).double().eval()
    x = torch.randn(2, 20, 5, 6, dtype=torch.float64)
    for each in (m for m in own.modules() if isinstance(m, nn.BatchNorm2d)):
        nn.init.uniform_(each.running_var, 0.5, 2.0)
        for tensor in (each.weight, each.bias, each.running_mean):
            nn.init.normal_(tensor)
    query = torch.einsum("oc,bchw->bohw", own.query.weight, x)
    shifted = query if own.query.bias is None else query + own.query.bias[:, None, None]
    query = shifted if norm == "none" else normed(query, own.norm)
    similarity = F.gelu(correlate(query, own.key, kernel))
    expected = correlate(similarity, own.value, kernel)
    torch.testing.assert_close(own(x), expected, rtol=0, atol=1e-10)
    plain = own.settled()
    assert plain.options == MetaMixerOptions(kernel)
    torch.testing.assert_close(plain(x), expected, rtol=0, atol=1e-10)
