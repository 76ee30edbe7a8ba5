"""Fourier mixing: the real part of the Fourier transform over positions and channels.

    y = Re F_positions(F_channels(x)) / sqrt(N C)        x, y: (B, C, H, W), N = H W

There are no weights. Positions are one sequence as in the paper (`sequence`), or the transform is
taken along rows and along columns (`plane`). The paper does not divide, as a norm follows there.
Elastic: nothing to share.
Paper: FNet, Lee-Thorp et al. 2021, https://arxiv.org/abs/2105.03824 (Section 3.2)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from search_spaces.family import MIXERS, Family, Options, choice


@dataclass(frozen=True)
class FourierOptions(Options):
    """Whether positions are a sequence or a plane."""

    positions: str = choice("sequence", "plane")


class Fourier(nn.Module):
    """An unparameterised Fourier transform."""

    def __init__(self, dim: int, options: FourierOptions) -> None:
        super().__init__()
        self.plane = options.positions == "plane"

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        height, width = x.shape[2:]
        # Half precisions have no FFT: the spectrum is computed in float32.
        t = x.to(torch.promote_types(x.dtype, torch.float32)).permute(0, 2, 3, 1)
        t = t if self.plane else t.flatten(1, 2)
        spectrum = torch.fft.fftn(t, dim=tuple(range(1, t.dim())), norm="ortho")
        y: Tensor = spectrum.real.reshape(-1, height, width, x.shape[1]).to(x.dtype)
        return y.contiguous().permute(0, 3, 1, 2)


MIXERS.register(
    Family(
        "fourier",
        FourierOptions,
        Fourier,
        paper="https://arxiv.org/abs/2105.03824",
        nested=(),  # a transform over fewer channels is another one
    )
)
