"""The adaptive frequency filter with complex matrices, and as a circular convolution."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from search_spaces.mixers.spectral.adaptive_frequency import (
    AdaptiveFrequency,
    AdaptiveFrequencyOptions,
)


def on_parts(function, z: Tensor) -> Tensor:
    """Apply a function to the real and to the imaginary part."""
    return torch.complex(function(z.real), function(z.imag))


def mask(own: AdaptiveFrequency, spectrum: Tensor, threshold: float) -> Tensor:
    """The mask of a spectrum (B, C, H, W'), a block of 16 channels after the other."""
    width = spectrum.shape[1]
    spectrum = F.pad(spectrum, (0, 0, 0, 0, 0, -width % 16))
    blocks = []
    for block in range(spectrum.shape[1] // 16):
        channels = slice(16 * block, 16 * (block + 1))
        z = spectrum[:, channels].permute(0, 2, 3, 1)
        w1, w2 = (torch.complex(*w[:, block]) for w in (own.enter.weight, own.leave.weight))
        b1, b2 = (torch.complex(*b[:, channels]) for b in (own.enter.bias, own.leave.bias))
        z = on_parts(torch.relu, z @ w1 + b1) @ w2 + b2
        blocks.append(on_parts(lambda part: F.softshrink(part, threshold), z))
    return torch.cat(blocks, dim=3).permute(0, 3, 1, 2)[:, :width]


@pytest.mark.parametrize("width", [20, 32])
@pytest.mark.parametrize("threshold", [0.0, 0.01])
@pytest.mark.parametrize("size", [(6, 6), (5, 7)])
def test_the_adaptive_filter_equals_its_equation(
    width: int, threshold: float, size: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    own = AdaptiveFrequency(width, AdaptiveFrequencyOptions(threshold)).double()
    for parameter in own.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    x = torch.randn(2, width, *size, dtype=torch.float64)
    spectrum = torch.fft.rfft2(x, norm="ortho")
    own_mask = mask(own, spectrum, threshold)
    y = torch.fft.irfft2(spectrum * own_mask, s=size, norm="ortho")
    torch.testing.assert_close(own(x), y, rtol=0, atol=1e-10)

    kernel = torch.fft.irfft2(own_mask, s=size)  # as large as the map, one for each map
    y = torch.zeros_like(x)
    for row in range(size[0]):
        for column in range(size[1]):
            moved = torch.roll(x, (row, column), (2, 3))
            y += kernel[:, :, row, column, None, None] * moved
    torch.testing.assert_close(own(x), y, rtol=0, atol=1e-10)
