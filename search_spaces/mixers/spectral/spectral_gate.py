"""Spectral gate: each channel's spectrum is multiplied by a learned complex filter.

    y = irfft2(G . rfft2(x))        x, y: (B, C, H, W); G: (C, H, W // 2 + 1) complex

The filter has one size and is resampled if the map's spectrum has another, so that one set of
weights serves every resolution.
Elastic: channels (leading).
Papers: GFNet, Rao et al. 2021, https://arxiv.org/abs/2107.00645 (Section 3.2); in hybrid stages
SpectFormer, Patro et al. 2023, https://arxiv.org/abs/2304.06446
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.family import MIXERS, Family, Options

GRID = 14  # side of the map whose spectrum the filter matches, as in GFNet's ImageNet models


@dataclass(frozen=True)
class SpectralGateOptions(Options):
    """Nothing to choose."""


class SpectralGate(nn.Module):
    """A global filter applied in the frequency domain."""

    def __init__(self, dim: int, options: SpectralGateOptions, grid: int = GRID) -> None:
        super().__init__()
        self.gate = nn.Parameter(torch.empty(dim, 2, grid, grid // 2 + 1))
        nn.init.normal_(self.gate, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        height, width = x.shape[2:]
        gate: Tensor = self.gate  # (C, 2, grid, grid // 2 + 1)
        if gate.shape[2:] != (height, width // 2 + 1):
            size = (height, width // 2 + 1)
            gate = F.interpolate(gate, size, mode="bilinear", align_corners=True)
        # Half precisions have no FFT: the spectrum is computed in float32.
        wide = torch.promote_types(x.dtype, torch.float32)
        spectrum = torch.fft.rfft2(x.to(wide), norm="ortho")  # (B, C, H, W // 2 + 1)
        spectrum = spectrum * torch.complex(*gate.to(wide).unbind(1))
        y: Tensor = torch.fft.irfft2(spectrum, s=(height, width), norm="ortho").to(x.dtype)
        return y.contiguous(memory_format=torch.channels_last)


MIXERS.register(
    Family(
        "spectral_gate",
        SpectralGateOptions,
        SpectralGate,
        paper="https://arxiv.org/abs/2107.00645",
        nested=("dim",),
    )
)
