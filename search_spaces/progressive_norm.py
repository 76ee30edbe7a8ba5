"""Progressive batch norm: layer norm that becomes batch norm while a network is trained.

    y      = g LN(x) + (1 - g) RepBN(x)                               g falls from 1 to 0
    RepBN(x) = BN(x) + n x                                            n: one learned number

Layer norm trains well but needs the statistics of each image when it runs; batch norm runs as two
numbers per channel. At the end g = 0, and what is left is one batch norm:

    RepBN(x; a, b, m, s, n) = BN(x; a + n s, b + n m, m, s)           a, b: weight, bias of BN
                                                                      m, s: mean, deviation of x

So a network of norm `batch-progressive` is trained with two norms in each place, and is timed,
counted and exported as its equal with norm `batch`. The supernet shares all of it by leading
channels. In the paper g falls in the whole training, in its program in a given number of steps.
Paper: SLAB, Guo et al. 2024, https://arxiv.org/abs/2405.11582 (section "Progressive
Re-parameterized BatchNorm")
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

PROGRESSIVE = "batch-progressive"
DEPLOYED = "batch"
"""The norm that a progressive one has become when its network is trained."""
FADING = 0.8
"""Share of the training in which g falls to 0; the rest trains batch norm alone."""


@runtime_checkable
class Progressive(Protocol):
    """What changes in the course of a training."""

    layer_share: float
    """g: 1 is layer norm, 0 batch norm."""


class ProgressiveBatchNorm(nn.Module):
    """Layer norm and re-parameterised batch norm, mixed by the progress of the training."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.layer = nn.LayerNorm(dim, eps=1e-6)
        self.batch = nn.BatchNorm2d(dim)
        self.straight = nn.Parameter(torch.ones(1))
        self.layer_share = 0.0

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        y: Tensor = self.batch(x) + self.straight * x
        if self.layer_share == 0.0:
            return y
        layer = self.layer(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return torch.lerp(y, layer, self.layer_share)

    @torch.no_grad()
    def settled(self) -> nn.BatchNorm2d:
        """The batch norm that computes the same with the statistics so far."""
        own, weight = self.batch, self.batch.weight
        norm = nn.BatchNorm2d(own.num_features, own.eps, device=weight.device, dtype=weight.dtype)
        norm.load_state_dict(own.state_dict())
        assert norm.running_mean is not None and norm.running_var is not None
        norm.weight.add_(self.straight * (norm.running_var + norm.eps).sqrt())
        norm.bias.add_(self.straight * norm.running_mean)
        return norm


def layer_share_at(step: int, steps: int) -> float:
    """The share of layer norm in a step: falls from 1 in a line, and is 0 from `FADING` on."""
    return max(0.0, 1.0 - (step + 1) / (FADING * steps)) if steps > 1 else 0.0


def progressive(root: nn.Module) -> list[Progressive]:
    """What changes in the course of a training: progressive norms below a module, a supernet."""
    return [module for module in root.modules() if isinstance(module, Progressive)]


def set_layer_share(root: nn.Module, share: float) -> None:
    """Tell all progressive norms below a module, and a supernet, how far the training is."""
    for each in progressive(root):
        each.layer_share = share
