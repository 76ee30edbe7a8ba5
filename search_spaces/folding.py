"""Folding: branches of convolutions and batch norms that add up to one convolution.

    BN(K * x + b) = (t K) * x + t (b - m) + c        t = w / sqrt(s + eps)
    W BN(x) + b       = (W t) x + W (c - t m) + b
    K_1 * x + K_2 * x = (K_1 + K_2) * x              the smaller kernel in the middle of the larger

w, c: weight and bias of the norm; m, s: its mean and variance. All of it is linear, so a trained
network with branches has an equal with one convolution in their place (see `deployment.py`).
Paper: RepVGG, Ding et al. 2021, https://arxiv.org/abs/2101.03697 (Section 3.3)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Kernel:
    """A convolution, or a linear layer over channels as one of side 1, in double precision."""

    weight: Tensor
    """(out, in, k, k)."""
    bias: Tensor
    """(out,)."""

    @classmethod
    def of(cls, layer: nn.Conv2d | nn.Linear) -> Kernel:
        """The kernel of a layer; without a bias, that is zero."""
        weight = layer.weight.double()
        weight = weight[..., None, None] if weight.ndim == 2 else weight
        bias = weight.new_zeros(len(weight)) if layer.bias is None else layer.bias.double()
        return cls(weight, bias)

    @classmethod
    def identity(cls, like: Tensor) -> Kernel:
        """The depthwise kernel that changes nothing, for as many channels as `like` has."""
        one = like.new_ones(len(like), 1, 1, 1, dtype=torch.float64)
        return cls(one, one.new_zeros(len(like)))

    def then(self, norm: nn.BatchNorm2d) -> Kernel:
        """With a batch norm after it, by the norm's statistics so far."""
        factor, shift = _line(norm)
        return Kernel(self.weight * factor[:, None, None, None], self.bias * factor + shift)

    def after(self, norm: nn.BatchNorm2d) -> Kernel:
        """With a batch norm before it; a kernel of side 1, because of what a border adds."""
        factor, shift = _line(norm)
        bias = self.bias + self.weight[..., 0, 0] @ shift
        return Kernel(self.weight * factor[:, None, None], bias)

    def times(self, scale: Tensor | float) -> Kernel:
        """With a factor for each output channel, (out,), or one for all."""
        scale = self.bias.new_ones(len(self.bias)) * scale
        return Kernel(self.weight * scale[:, None, None, None], self.bias * scale)

    def plus(self, other: Kernel) -> Kernel:
        """Beside another one of an odd side, which reads the same map."""
        side = max(self.weight.shape[3], other.weight.shape[3])
        weights = [F.pad(k.weight, [(side - k.weight.shape[3]) // 2] * 4) for k in (self, other)]
        return Kernel(weights[0] + weights[1], self.bias + other.bias)

    @torch.no_grad()
    def write(self, layer: nn.Conv2d | nn.Linear) -> None:
        """Give it to a layer that has a bias."""
        assert layer.bias is not None
        layer.weight.copy_(self.weight.reshape(layer.weight.shape))
        layer.bias.copy_(self.bias)


class Normed(nn.Module):
    """A convolution without bias, and its batch norm."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv
        self.norm = nn.BatchNorm2d(conv.out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H', W')."""
        y: Tensor = self.norm(self.conv(x))
        return y

    def folded(self) -> Kernel:
        """The one convolution that it is equal to."""
        return Kernel.of(self.conv).then(self.norm)


class NormedLinear(nn.Module):
    """A linear layer without bias, and a batch norm of the channels that it gives."""

    def __init__(self, dim: int, out_dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(dim, out_dim, bias=False)
        self.norm = nn.BatchNorm2d(out_dim)

    def forward(self, t: Tensor) -> Tensor:
        """(..., C) -> (..., C')."""
        y = self.linear(t)
        normed: Tensor = self.norm(y.flatten(0, -2)[..., None, None])
        return normed.reshape(y.shape)

    def folded(self) -> Kernel:
        """The one linear layer that it is equal to."""
        return Kernel.of(self.linear).then(self.norm)


def _line(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Factor and shift of a batch norm, (channels,) each."""
    assert norm.running_mean is not None and norm.running_var is not None
    factor = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    return factor, norm.bias.double() - norm.running_mean.double() * factor
