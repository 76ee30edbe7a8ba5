"""Attentive convolution: kernels by adaptive pooling, one convolution for each image."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from search_spaces.mixers.convolution.attentive_conv import AttentiveConv, AttentiveConvOptions


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("size", [(6, 7), (12, 12), (2, 1)])
def test_attentive_convolution_equals_its_equation(kernel: int, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    own = AttentiveConv(20, AttentiveConvOptions(kernel)).double()
    nn.init.normal_(own.shift)
    nn.init.normal_(own.inhibition)
    x = torch.randn(2, 20, *size, dtype=torch.float64)
    count = kernel * kernel
    context = torch.einsum("oc,bchw->bohw", own.context.weight, x).flatten(2)
    context = context + own.context.bias[:, None]
    pooled = F.gelu(F.adaptive_avg_pool1d(context, count))
    kernels = pooled @ own.generate.reshape(count, count).T + own.shift.flatten()
    values = torch.einsum("oc,bchw->bohw", own.value.weight, x) + own.value.bias[:, None, None]
    y = torch.empty_like(x)
    for image in range(2):
        for channel in range(20):
            own_kernel = kernels[image, channel].reshape(kernel, kernel)
            own_kernel = own_kernel - own.inhibition[channel].sigmoid() * own_kernel.mean()
            plane = values[image, channel][None, None]
            y[image, channel] = F.conv2d(plane, own_kernel[None, None], padding=kernel // 2)[0, 0]
    expected = torch.einsum("oc,bchw->bohw", own.project.weight, y)
    expected = expected + own.project.bias[:, None, None]
    torch.testing.assert_close(own(x), expected, rtol=0, atol=1e-10)
