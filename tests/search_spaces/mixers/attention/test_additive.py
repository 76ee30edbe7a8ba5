"""Additive attention equals its formula, written position by position."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.mixers.attention.additive import (
    AdditiveAttention,
    AdditiveOptions,
    Interaction,
)


def filtered(x: Tensor, conv: nn.Conv2d) -> Tensor:
    """A depthwise convolution as a sum over its taps."""
    side = conv.kernel_size[0]
    padded = F.pad(x, (side // 2,) * 4)
    y = torch.zeros_like(x) + conv.bias[:, None, None]
    for i in range(side):
        for j in range(side):
            shifted = padded[:, :, i : i + x.shape[2], j : j + x.shape[3]]
            y += conv.weight[:, 0, i, j][:, None, None] * shifted
    return y


def gated(u: Tensor, layer: Interaction) -> Tensor:
    """The spatial interaction, then the channel interaction."""
    norm = layer.norm
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    z = filtered(u, layer.conv) - norm.running_mean[:, None, None]
    z = (z * scale[:, None, None] + norm.bias[:, None, None]).clamp(min=0)
    s = u.clone()
    for i in range(u.shape[2]):
        for j in range(u.shape[3]):
            gate = 1 / (1 + torch.exp(-z[:, :, i, j] @ layer.position.weight[0]))
            s[:, :, i, j] = u[:, :, i, j] * gate[:, None]
    gate = 1 / (1 + torch.exp(-s.mean((2, 3)) @ layer.channel.weight.T))
    return s * gate[:, :, None, None]


@pytest.mark.parametrize("kernel", [3, 5])
def test_additive_attention_equals_its_formula(
    randomised: Callable[[nn.Module], nn.Module], kernel: int
) -> None:
    own = randomised(AdditiveAttention(20, AdditiveOptions(kernel)))
    x = torch.randn(2, 20, 5, 6, dtype=torch.float64)
    q, k, v = (torch.einsum("oc,bcij->boij", p.weight, x) for p in (own.q, own.k, own.v))
    similarity = gated(q, own.query) + gated(k, own.key)
    y = filtered(filtered(similarity, own.mix) * v, own.project)
    torch.testing.assert_close(own(x), y, rtol=0, atol=1e-10)
