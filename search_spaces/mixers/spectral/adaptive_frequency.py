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


class ComplexBlocks(nn.Module):
    """A complex matrix and a complex shift for each block of channels.

    Works on real and imaginary parts. The last block may lack channels: they are zero in what a
    layer is given, and not in its result.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.blocks = -(-dim // BLOCK)
        self.weight = nn.Parameter(torch.randn(2, self.blocks, BLOCK, BLOCK) * 0.02)
        self.bias = nn.Parameter(torch.randn(2, self.blocks * BLOCK) * 0.02)

    def forward(self, real: Tensor, imaginary: Tensor) -> tuple[Tensor, Tensor]:
        """Twice (..., C) -> twice (..., blocks * BLOCK)."""
        bias = self.bias.to(real.dtype)
        first, second = self.weight.to(real.dtype)
        y = self._product(real, first) - self._product(imaginary, second) + bias[0]
        z = self._product(imaginary, first) + self._product(real, second) + bias[1]
        return y, z

    def _product(self, part: Tensor, weight: Tensor) -> Tensor:
        """(..., C) -> (..., blocks * BLOCK)."""
        part = F.pad(part, (0, self.blocks * BLOCK - part.shape[-1]))
        part = torch.unflatten(part, -1, (self.blocks, BLOCK))
        return torch.einsum("...ki,kio->...ko", part, weight).flatten(-2)


class AdaptiveFrequency(nn.Module):
    """A filter in the frequency domain that depends on the map."""

    def __init__(self, dim: int, options: AdaptiveFrequencyOptions) -> None:
        super().__init__()
        self.threshold = options.threshold
        self.enter, self.leave = ComplexBlocks(dim), ComplexBlocks(dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        # Half precisions have no FFT: the filter is computed in float32.
        wide = torch.promote_types(x.dtype, torch.float32)
        spectrum = torch.fft.rfft2(x.to(wide), norm="ortho")  # (B, C, H, W // 2 + 1)
        parts = (part.permute(0, 2, 3, 1) for part in (spectrum.real, spectrum.imag))
        mask = self.leave(*(part.relu() for part in self.enter(*parts)))
        real, imaginary = (
            F.softshrink(part[..., : x.shape[1]], self.threshold).permute(0, 3, 1, 2)
            for part in mask
        )
        spectrum = spectrum * torch.complex(real, imaginary)
        y: Tensor = torch.fft.irfft2(spectrum, s=x.shape[2:], norm="ortho").to(x.dtype)
        return y.contiguous(memory_format=torch.channels_last)


MIXERS.register(
    Family(
        "adaptive_frequency",
        AdaptiveFrequencyOptions,
        AdaptiveFrequency,
        paper="https://arxiv.org/abs/2307.14008",
        nested=("dim",),
    )
)
