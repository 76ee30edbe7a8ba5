"""The feed-forward attention of FFNet, position by position."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.mixers.convolution.metamixer import MetaMixer, MetaMixerOptions


def correlate(x: Tensor, kernels: nn.Conv2d, side: int) -> Tensor:
    """Each channel with its own kernel; the map is zero beyond its border."""
    height, width = x.shape[2:]
    padded = F.pad(x, [side // 2] * 4)
    y = torch.empty_like(x)
    for row in range(height):
        for column in range(width):
            seen = padded[:, :, row : row + side, column : column + side]
            y[:, :, row, column] = (seen * kernels.weight[:, 0]).sum((2, 3)) + kernels.bias
    return y


@pytest.mark.parametrize("kernel", [3, 7])
@pytest.mark.parametrize("norm", ["none", "batch"])
def test_metamixer_equals_its_equation(kernel: int, norm: str) -> None:
    torch.manual_seed(0)
    own = MetaMixer(20, MetaMixerOptions(kernel, norm)).double().eval()
    x = torch.randn(2, 20, 5, 6, dtype=torch.float64)
    query = torch.einsum("oc,bchw->bohw", own.query.weight, x)
    if norm == "batch":
        nn.init.uniform_(own.norm.running_var, 0.5, 2.0)
        nn.init.normal_(own.norm.running_mean)
        mean, var = (own.norm.get_buffer(f"running_{n}")[:, None, None] for n in ("mean", "var"))
        query = (query - mean) / (var + 1e-5).sqrt()
    else:
        query = query + own.query.bias[:, None, None]
    similarity = F.gelu(correlate(query, own.key, kernel))
    expected = correlate(similarity, own.value, kernel)
    torch.testing.assert_close(own(x), expected, rtol=0, atol=1e-10)
