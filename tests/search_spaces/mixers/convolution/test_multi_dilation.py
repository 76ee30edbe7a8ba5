"""SpaRTAN's spatial mixer by its equations, with one output projection."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.mixers.convolution.multi_dilation import MultiDilation, MultiDilationOptions


def conv(x: Tensor, weight: Tensor, dilation: int) -> Tensor:
    """A 3 x 3 convolution as a sum over its taps; `weight` is dense or one kernel a channel."""
    height, width = x.shape[2:]
    padded = F.pad(x, [dilation] * 4)
    y = torch.zeros_like(x)
    for i in range(3):
        for j in range(3):
            row, column = i * dilation, j * dilation
            seen = padded[:, :, row : row + height, column : column + width]
            tap = weight[:, :, i, j]
            tap = torch.diag(tap[:, 0]) if tap.shape[1] == 1 else tap
            y += torch.einsum("oc,bchw->bohw", tap, seen)
    return y


def normed(x: Tensor, norm: nn.BatchNorm2d) -> Tensor:
    mean, variance = norm.running_mean[:, None, None], norm.running_var[:, None, None]
    y = (x - mean) / (variance + 1e-5).sqrt()
    return y * norm.weight[:, None, None] + norm.bias[:, None, None]


def excited(x: Tensor, layer: nn.Module) -> Tensor:
    mean = x.mean((2, 3))
    squeezed = torch.relu(mean @ layer.reduce.weight[:, :, 0, 0].T + layer.reduce.bias)
    gate = torch.sigmoid(squeezed @ layer.expand.weight[:, :, 0, 0].T + layer.expand.bias)
    return x * gate[:, :, None, None]


@pytest.mark.parametrize("kernels", ["depthwise", "dense"])
@pytest.mark.parametrize("dilation", [2, 3])
def test_multi_dilation_equals_its_equations(kernels: str, dilation: int) -> None:
    torch.manual_seed(0)
    own = MultiDilation(20, MultiDilationOptions(kernels, dilation)).double().eval()
    nn.init.normal_(own.detail)
    for name, buffer in own.named_buffers():
        if name.endswith("running_var"):
            nn.init.uniform_(buffer, 0.5, 2.0)
        elif name.endswith("running_mean"):
            nn.init.normal_(buffer)
    x = torch.randn(2, 20, 6, 5, dtype=torch.float64)

    u = torch.einsum("oc,bchw->bohw", own.reduce.weight, x) + own.reduce.bias[:, None, None]
    u = u + own.detail[:, None, None] * (u - u.mean((2, 3), keepdim=True))
    filters = own.filters[kernels]
    near = F.gelu(normed(conv(u, filters.near.weight, 1), filters.near_norm))
    wide = conv(conv(u, filters.wide1.weight, dilation), filters.wide2.weight, dilation)
    wide = F.gelu(normed(wide, filters.wide_norm))
    both = torch.cat([excited(near, own.excite_near), excited(wide, own.excite_wide)], dim=1)
    project = torch.cat([own.project_near.weight, own.project_wide.weight], dim=1)
    expected = torch.einsum("oc,bchw->bohw", project, both) + own.project_near.bias[:, None, None]
    torch.testing.assert_close(own(x), expected, rtol=0, atol=1e-10)
