"""Feed-forward attention: queries meet keys and values that are large learned kernels.

    y = V_k * gelu(K_k * (W x))        x, y: (B, C, H, W); K, V: depthwise kernels

It is attention's query, key and value with convolutions in place of products and GELU in place
of softmax. With norm `batch` the queries are normalised, as in training; a deployed network has
no norm. The paper's second kernel of side 3, which training adds to each of side 7, is left out.
Elastic: channels (leading), kernels (centre window).
Paper: MetaMixer (FFNet), Yun et al. 2024, https://arxiv.org/abs/2406.02021 (Section 3)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.family import MIXERS, Family, Options, choice
from search_spaces.layers import PointwiseLinear, depthwise


@dataclass(frozen=True)
class MetaMixerOptions(Options):
    """Side of both kernels, norm of the queries."""

    kernel: int = choice(3, 5, 7, default=7, unit="px", meaning="depthwise kernel")
    norm: str = choice("none", "batch")


class MetaMixer(nn.Module):
    """FFNet's token mixer."""

    def __init__(self, dim: int, options: MetaMixerOptions) -> None:
        super().__init__()
        plain = options.norm == "none"
        self.query = PointwiseLinear(dim, dim, bias=plain)
        self.norm = nn.Identity() if plain else nn.BatchNorm2d(dim)
        self.key = depthwise(dim, options.kernel)
        self.value = depthwise(dim, options.kernel)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        y: Tensor = self.value(F.gelu(self.key(self.norm(self.query(x)))))
        return y


MIXERS.register(
    Family(
        "metamixer",
        MetaMixerOptions,
        MetaMixer,
        paper="https://arxiv.org/abs/2406.02021",
        nested=("dim", "kernel"),
    )
)
