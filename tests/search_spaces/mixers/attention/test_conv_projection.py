"""Convolutional projection equals its formula, written tap by tap and head by head."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.mixers.attention.conv_projection import (
    ConvProjectionAttention,
    ConvProjectionOptions,
)


def local(x: Tensor, layers: nn.Sequential, stride: int) -> Tensor:
    """A depthwise convolution and a batch norm as tokens, (B, N, C)."""
    conv, norm = layers
    padded = F.pad(x, (1, 1, 1, 1))
    found = []
    for row in range(0, x.shape[2], stride):
        for column in range(0, x.shape[3], stride):
            taps = padded[:, :, row : row + 3, column : column + 3]
            found.append((taps * conv.weight[:, 0]).sum((2, 3)))
    y = torch.stack(found, 1)
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return (y - norm.running_mean) * scale + norm.bias


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("width", "heads"), [(20, 1), (48, 3)])
def test_convolutional_projection_equals_its_formula(
    randomised: Callable[[nn.Module], nn.Module], width: int, heads: int, stride: int
) -> None:
    own = randomised(ConvProjectionAttention(width, ConvProjectionOptions(stride, 16)))
    x = torch.randn(2, width, 5, 6, dtype=torch.float64)
    q = own.q(local(x, own.query, 1))
    k, v = own.k(local(x, own.key, stride)), own.v(local(x, own.value, stride))
    outputs = []
    for head in range(heads):
        part = slice(16 * head, 16 * (head + 1))
        scores = q[:, :, part] @ k[:, :, part].transpose(1, 2) / 4
        outputs.append(scores.softmax(2) @ v[:, :, part])
    y = own.project(torch.cat(outputs, 2)).transpose(1, 2).reshape(x.shape)
    torch.testing.assert_close(own(x), y, rtol=0, atol=1e-10)
