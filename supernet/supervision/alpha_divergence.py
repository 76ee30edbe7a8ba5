"""Alpha divergence: as in-place distillation, but a child's loss weighs both kinds of mistakes.

    D_a(p || q) = 1 / (a (a - 1)) sum_i q_i ((p_i / q_i)^a - 1)      p teacher, q child
    child  L = (1 - w) max(D_low, D_high) + w H(y, q)                for each image

The usual divergence (a = 1, cross entropy) hardly punishes a child that gives chances to classes
which its teacher excludes; a negative a does. For each image the larger of the two counts. The
weights (p_i / q_i)^a have no bound, so they are clipped where a is not 1.
Paper: AlphaNet, Wang et al. 2021, https://arxiv.org/abs/2102.07954 (Section 4)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from supernet.method import Method
from supernet.supervision import SUPERVISIONS
from supernet.supervision.in_place import InPlaceDistillation, InPlaceOptions


@dataclass(frozen=True)
class AlphaDivergenceOptions(InPlaceOptions):
    """Also the two values of a, and the bound on the weights."""

    label_weight: Annotated[float, Field(ge=0, le=1)] = 0.0
    low: Annotated[float, Field(lt=0)] = -1.0
    high: Annotated[float, Field(gt=0)] = 1.0
    clip: Annotated[float, Field(gt=0)] = 5.0


class AlphaDivergence(InPlaceDistillation):
    """The larger of two divergences from the teacher, mixed with the labels' cross entropy."""

    def __init__(self, options: AlphaDivergenceOptions) -> None:
        super().__init__(options)
        self.low, self.high, self.clip = options.low, options.high, options.clip

    def loss(self, scores: Tensor, taught: Tensor, targets: Tensor) -> Tensor:
        """A child's loss; all are (B, classes), `taught` and `targets` are probabilities.

        The value is a cross entropy with targets that give the divergence's gradient.
        """
        child = scores.detach().softmax(dim=1)
        low, high = (
            (divergence(taught, child, a, self.clip), pull(taught, child, a, self.clip))
            for a in (self.low, self.high)
        )
        wanted = torch.where((low[0] > high[0])[:, None], low[1], high[1])
        return F.cross_entropy(scores, torch.lerp(wanted, targets, self.label_weight))


def divergence(p: Tensor, q: Tensor, a: float, clip: float) -> Tensor:
    """D_a(p || q) of each row with clipped weights, (B, classes) -> (B,)."""
    if a == 1.0:
        return (p.xlogy(p) - p.xlogy(q)).sum(dim=1)
    return (q * (_weights(p, q, a, clip) - 1)).sum(dim=1) / (a * (a - 1))


def pull(p: Tensor, q: Tensor, a: float, clip: float) -> Tensor:
    """How strongly each class is pulled up: -dD_a / dlog q, up to a term that sums to nothing."""
    return p if a == 1.0 else q * _weights(p, q, a, clip) / a


def _weights(p: Tensor, q: Tensor, a: float, clip: float) -> Tensor:
    """(p / q)^a, at most `clip`."""
    return (p.clamp(min=1e-12) / q.clamp(min=1e-12)).pow(a).clamp(max=clip)


SUPERVISIONS.register(
    Method(
        "alpha-divergence",
        AlphaDivergenceOptions,
        lambda setup, options: AlphaDivergence(options),
        paper="https://arxiv.org/abs/2102.07954",
    )
)
