"""Dynamic spectrum: the cosine spectrum is weighted by filters that each image combines anew.

    c = softmax over f of W_f gelu(W_1 mean(x))        one number for each filter f and channel
    y = idct2((sum_f c_f S_f) . dct2(x))               x, y: (B, C, H, W); S: (F, H, W)

The filters S are learned at one size and resampled to the map's. The orthonormal cosine transform
(DCT-II) is taken along rows and columns as matrix products.
Elastic: channels and hidden channels (leading).
Papers: Dynamic Spectrum Mixer, Hu and Yu 2023, https://arxiv.org/abs/2309.06721, for the cosine
transform with weights made from the image. The layer that makes them is taken from DFFormer,
Tatsunami and Taki 2023, https://arxiv.org/abs/2303.03932 (Section 3), with a gelu for its StarReLU
and with biases; its wider layers before and after the filter are left out
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.family import MIXERS, Family, Options, choice

GRID = 14  # side of the map whose spectrum the filters match
REDUCTION = 4  # of the channels within what weighs the filters


@dataclass(frozen=True)
class DCTOptions(Options):
    """How many filters are combined."""

    filters: int = choice(2, 4, 8, default=4)


class DCT(nn.Module):
    """A filter of the cosine spectrum that depends on the image."""

    def __init__(self, dim: int, options: DCTOptions) -> None:
        super().__init__()
        hidden = max(1, dim // REDUCTION)
        self.spectra = nn.Parameter(torch.randn(options.filters, GRID, GRID) * 0.02)
        self.reduce = nn.Linear(dim, hidden)
        self.weigh = nn.ModuleList(nn.Linear(hidden, dim) for _ in range(options.filters))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        height, width = x.shape[2:]
        rows, columns = cosines(height, x), cosines(width, x)
        spectrum = rows @ x.contiguous() @ columns.T
        y = rows.T @ (spectrum * self._weights(x)) @ columns
        return y.contiguous(memory_format=torch.channels_last)

    def _weights(self, x: Tensor) -> Tensor:
        """What each frequency of each channel weighs, (B, C, H, W)."""
        hidden = F.gelu(self.reduce(x.mean((2, 3))))
        shares = torch.stack([layer(hidden) for layer in self.weigh], dim=2).softmax(dim=2)
        size, spectra = x.shape[2:], self.spectra[None]
        if spectra.shape[2:] != size:
            spectra = F.interpolate(spectra, size, mode="bilinear", align_corners=True)
        return torch.unflatten(shares @ spectra[0].flatten(1), 2, size)


def cosines(size: int, like: Tensor) -> Tensor:
    """The orthonormal matrix of the DCT-II, frequencies by places, (size, size)."""
    # Angles need more than a half precision.
    wide = torch.promote_types(like.dtype, torch.float32)
    place = torch.arange(size, device=like.device).to(wide)
    matrix = torch.cos(math.pi / size * place[:, None] * (place + 0.5)) * math.sqrt(2 / size)
    constant = (place == 0).to(wide) * (1 - math.sqrt(0.5))  # its row is shorter
    return (matrix * (1 - constant[:, None])).to(like.dtype)


MIXERS.register(
    Family(
        "dct",
        DCTOptions,
        DCT,
        paper="https://arxiv.org/abs/2309.06721",
        nested=("dim",),
    )
)
