"""Feed-forward attention: queries meet keys and values that are large learned kernels.

    y = V_k * gelu(K_k * (W x))        x, y: (B, C, H, W); K, V: depthwise kernels

It is attention's query, key and value with convolutions in place of products and GELU in place
of softmax. The paper trains with batch norms: with norm `batch` the queries have one,

    W x becomes BN(W x)

with `branches` each kernel beyond 3 x 3 has a second one beside it as well:

    K * u becomes BN(K * u) + BN(K' * u),  and V alike        K': 3 x 3

Both are deployed as their equal without norms (see `folding.py`).
Elastic: channels (leading), kernels (centre window).
Paper: MetaMixer (FFNet), Yun et al. 2024, https://arxiv.org/abs/2406.02021 (Section 3), with the
authors' code
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.family import MIXERS, Family, Options, choice
from search_spaces.folding import Kernel, Normed
from search_spaces.layers import PointwiseLinear, depthwise

SMALL = 3
"""Side of the second kernel."""


@dataclass(frozen=True)
class MetaMixerOptions(Options):
    """Side of both kernels, norms while it is trained."""

    kernel: int = choice(3, 5, 7, default=7, unit="px", meaning="depthwise kernel")
    norm: str = choice("none", "batch", "branches")


class TwoKernels(nn.Module):
    """The sum of a large and a small depthwise convolution with a norm each."""

    def __init__(self, dim: int, kernel: int) -> None:
        super().__init__()
        self.large = Normed(depthwise(dim, kernel, bias=False))
        self.small = Normed(depthwise(dim, SMALL, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        y: Tensor = self.large(x) + self.small(x)
        return y

    def folded(self) -> Kernel:
        """The one convolution that they are equal to."""
        return self.large.folded().plus(self.small.folded())


class MetaMixer(nn.Module):
    """FFNet's token mixer."""

    def __init__(self, dim: int, options: MetaMixerOptions) -> None:
        super().__init__()
        self.options, kernel = options, options.kernel
        plain, doubled = options.norm == "none", options.norm == "branches" and kernel > SMALL
        self.query = PointwiseLinear(dim, dim, bias=plain)
        self.norm = nn.Identity() if plain else nn.BatchNorm2d(dim)
        self.key = TwoKernels(dim, kernel) if doubled else depthwise(dim, kernel)
        self.value = TwoKernels(dim, kernel) if doubled else depthwise(dim, kernel)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        y: Tensor = self.value(F.gelu(self.key(self.norm(self.query(x)))))
        return y

    def settled(self) -> MetaMixer:
        """The module without norms that computes the same with the statistics so far."""
        if not isinstance(self.norm, nn.BatchNorm2d):
            return self
        weight = self.query.weight
        plain = MetaMixer(len(weight), replace(self.options, norm="none"))
        plain.to(weight.device, weight.dtype)
        Kernel.of(self.query).then(self.norm).write(plain.query)
        for own, layer in ((self.key, plain.key), (self.value, plain.value)):
            assert isinstance(layer, nn.Conv2d)
            kernel = own.folded() if isinstance(own, TwoKernels) else Kernel.of(own)
            kernel.write(layer)
        return plain


MIXERS.register(
    Family(
        "metamixer",
        MetaMixerOptions,
        MetaMixer,
        paper="https://arxiv.org/abs/2406.02021",
        nested=("dim", "kernel"),
        deployed=lambda options: ("metamixer", replace(options, norm="none")),
    )
)
