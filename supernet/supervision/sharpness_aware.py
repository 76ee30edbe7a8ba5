"""Sharpness-aware: in-place distillation at the worst point nearby.

    g = dL/dW at W,   e = r g / |g|,   the step takes dL/dW at W + e

Minima in wide valleys generalise better, and shared weights are hardly ever at the minimum of the
child that uses them. A step takes twice the time.
Paper: SAM, Foret et al. 2021, https://arxiv.org/abs/2010.01412 (Section 2)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from supernet.method import Method, Setup
from supernet.supervision import SUPERVISIONS, Step
from supernet.supervision.in_place import InPlaceDistillation, InPlaceOptions


@dataclass(frozen=True)
class SharpnessAwareOptions(InPlaceOptions):
    """Also how far away the worst point is: the length of the step over all weights."""

    radius: Annotated[float, Field(gt=0)] = 0.05


class SharpnessAware(InPlaceDistillation):
    """Two passes: the first finds the worst point nearby, the second the gradients there."""

    whole_step = True

    def __init__(self, setup: Setup, options: SharpnessAwareOptions) -> None:
        super().__init__(options)
        self.radius = options.radius
        self._supernet = (setup.supernet,)  # in a tuple: its weights are not the supervision's

    def losses(self, step: Step) -> Iterator[Tensor]:
        """Those at the weights, then those at the worst point nearby.

        Raises:
            ValueError: the teacher does not see all images of the step.
        """
        yield from super().losses(step)
        touched = [p for p in self._supernet[0].parameters() if p.grad is not None]
        gradients = step.gradients(touched)
        length = torch.stack([gradient.norm() for gradient in gradients]).norm()
        uphill = [gradient * (self.radius / (length + 1e-12)) for gradient in gradients]
        before = [parameter.detach().clone() for parameter in touched]
        try:  # a step whose memory runs out is repeated, from the same weights
            _move(touched, uphill)
            for parameter in touched:
                parameter.grad = None
            yield from super().losses(step)
        finally:
            _put_back(touched, before)


@torch.no_grad()
def _move(weights: list[nn.Parameter], steps: list[Tensor]) -> None:
    for weight, step in zip(weights, steps, strict=True):
        weight.add_(step)


@torch.no_grad()
def _put_back(weights: list[nn.Parameter], values: list[Tensor]) -> None:
    for weight, value in zip(weights, values, strict=True):
        weight.copy_(value)


SUPERVISIONS.register(
    Method(
        "sharpness-aware",
        SharpnessAwareOptions,
        SharpnessAware,
        paper="https://arxiv.org/abs/2010.01412",
    )
)
