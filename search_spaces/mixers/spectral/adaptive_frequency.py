"""Adaptive frequency filter: the spectrum is multiplied by a mask made from the spectrum.

    F = rfft2(x),  M = shrink(W_2 a(W_1 F + b_1) + b_2)        complex matrices, a = relu
    y = irfft2(M . F)                                          x, y: (B, C, H, W)

The matrices mix the channels of a block at each frequency; the relu and the soft shrinkage act on
real and imaginary parts. It equals a convolution with a kernel as large as the map, made anew for
every map. The last block may lack channels.
Elastic: channels in blocks of 16 (leading).
Paper: Adaptive Frequency Filters (AFFNet), Huang et al. 2023, https://arxiv.org/abs/2307.14008
(Section 3), with the authors' code; the code's inner shortcut is the block's own
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.family import MIXERS, Family, Options, choice

BLOCK = 16  # channels that a matrix mixes


@dataclass(frozen=True)
class AdaptiveFrequencyOptions(Options):
    """Below which size the mask's parts are zero."""

    threshold: float = choice(0.01, 0.0)


class AdaptiveFrequency(nn.Module):
    """A filter in the frequency domain that depends on the map."""

    def __init__(self, dim: int, options: AdaptiveFrequencyOptions) -> None:
        super().__init__()
        self.threshold, self.blocks = options.threshold, -(-dim // BLOCK)
        for name in ("1", "2"):
            weight = nn.Parameter(torch.randn(2, self.blocks, BLOCK, BLOCK) * 0.02)
            self.register_parameter(f"weight{name}", weight)
            bias = nn.Parameter(torch.randn(2, self.blocks * BLOCK) * 0.02)
            self.register_parameter(f"bias{name}", bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        height, width = x.shape[2:]
        # Half precisions have no FFT: the filter is computed in float32.
        wide = torch.promote_types(x.dtype, torch.float32)
        spectrum = torch.fft.rfft2(x.to(wide), norm="ortho")  # (B, C, H, W // 2 + 1)
        real, imaginary = self._mask(spectrum.real, spectrum.imag)
        y = torch.fft.irfft2(
            spectrum * torch.complex(real, imaginary), s=(height, width), norm="ortho"
        )
        return y.to(x.dtype).contiguous(memory_format=torch.channels_last)

    def _mask(self, real: Tensor, imaginary: Tensor) -> tuple[Tensor, Tensor]:
        """Real and imaginary part of the mask of a spectrum, each (B, C, H, W // 2 + 1)."""
        dim = real.shape[1]
        missing = self.blocks * BLOCK - dim
        parts = [F.pad(p.permute(0, 2, 3, 1), (0, missing)) for p in (real, imaginary)]
        parts = self._layer(parts, self.weight1, self.bias1)
        parts = self._layer([p.relu() for p in parts], self.weight2, self.bias2)
        real, imaginary = (
            F.softshrink(p[..., :dim], self.threshold).permute(0, 3, 1, 2) for p in parts
        )
        return real, imaginary

    def _layer(self, parts: list[Tensor], weight: Tensor, bias: Tensor) -> list[Tensor]:
        """A complex matrix for each block, and a shift; parts are (B, H, W', C)."""
        real, imaginary = (p.unflatten(3, (self.blocks, BLOCK)) for p in parts)
        weight, bias = weight.to(real.dtype), bias.to(real.dtype)

        def product(part: Tensor, i: int) -> Tensor:
            return torch.einsum("bhwki,kio->bhwko", part, weight[i]).flatten(3)

        return [
            product(real, 0) - product(imaginary, 1) + bias[0],
            product(imaginary, 0) + product(real, 1) + bias[1],
        ]


MIXERS.register(
    Family(
        "adaptive_frequency",
        AdaptiveFrequencyOptions,
        AdaptiveFrequency,
        paper="https://arxiv.org/abs/2307.14008",
        nested=("dim",),
    )
)
