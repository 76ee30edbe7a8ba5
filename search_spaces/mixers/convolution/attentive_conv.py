"""Attentive convolution: each image has its own depthwise kernels, whose entries compete.

    K = G gelu(pool(W_k x)) + b,   pool: the means of k*k runs of positions
    K' = K - sigmoid(d) mean(K)
    y = W_o (K' * (W_v x))        x, y: (B, C, H, W)

G maps the k*k means of a channel to the k*k entries of its kernel. Subtracting a share of their
mean, learned for each channel, lets entries inhibit each other as a softmax's do.
Elastic: channels (leading), kernel with its matrix G (centre window).
Paper: Attentive Convolution (ATConv), Yu et al. 2025, https://arxiv.org/abs/2510.20092 (Section
4), with the authors' code
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.family import MIXERS, Family, Options, choice
from search_spaces.layers import averages, taps
from search_spaces.slicing import Cut, Shape, leading


@dataclass(frozen=True)
class AttentiveConvOptions(Options):
    """Side of the kernels."""

    kernel: int = choice(3, 5, 7, unit="px", meaning="depthwise kernel")


class AttentiveConv(nn.Module):
    """Depthwise convolution with kernels made from the whole map."""

    def __init__(self, dim: int, options: AttentiveConvOptions) -> None:
        super().__init__()
        side = options.kernel
        self.kernel = side
        self.context = nn.Linear(dim, dim)
        self.value = nn.Linear(dim, dim)
        self.project = nn.Linear(dim, dim)
        self.generate = nn.Parameter(torch.empty(side, side, side, side))  # entry, mean
        self.shift = nn.Parameter(torch.zeros(side, side))
        self.inhibition = nn.Parameter(torch.zeros(dim))
        nn.init.uniform_(self.generate, -1 / side, 1 / side)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        t = x.permute(0, 2, 3, 1)  # (B, H, W, C)
        kernels = self._kernels(t.flatten(1, 2)).unbind(1)
        shifted = taps(self.value(t), self.kernel)
        y: Tensor = shifted[0] * kernels[0][:, None, None]
        for kernel, tap in zip(kernels[1:], shifted[1:], strict=True):
            y = torch.addcmul(y, kernel[:, None, None], tap)
        y = self.project(y)
        return y.permute(0, 3, 1, 2)

    def _kernels(self, t: Tensor) -> Tensor:
        """(B, N, C) -> (B, k*k, C)."""
        count = self.kernel**2
        # The mean of projections is the projection of the mean, which costs less.
        means = F.gelu(self.context(averages(t.shape[1], count, t) @ t))
        kernels: Tensor = self.generate.reshape(count, count) @ means
        kernels = kernels + self.shift.reshape(count, 1)
        kernels = kernels - self.inhibition.sigmoid() * kernels.mean(dim=1, keepdim=True)
        return kernels


def _cut(name: str, largest: Shape, child: Shape) -> Cut:
    """The centre in all dimensions of what makes kernels, leading channels elsewhere."""
    steps = leading(largest, child)
    if name not in ("generate", "shift"):
        return steps
    return tuple((dim, (largest[dim] - length) // 2, length) for dim, _, length in steps)


MIXERS.register(
    Family(
        "attentive_conv",
        AttentiveConvOptions,
        AttentiveConv,
        paper="https://arxiv.org/abs/2510.20092",
        nested=("dim",),
        cut=_cut,
    )
)
