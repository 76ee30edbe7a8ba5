"""Masked images: a training begins with guessing hidden patches, then labels are learnt.

    x' = m t + (1 - m) x                              m mask of patches, t mask token, x images
    L  = sum m |r(f(x')) - x| / (channels * sum m)    f the child's last map, r one linear layer

The first steps need no labels: each child sees images in which most patches are one learnt colour
and predicts their pixels. Afterwards another supervision takes over. As stems differ, the token
takes the place of pixels, not of embedded patches as in the paper, and the layer predicts as many
pixels for each position as the largest stride of the space has.

A step of the first kind takes the time and the memory of a step with labels. The linear layer has
(width of the last map) * channels * stride^2 weights. Several workers exchange the maps of all
parts.
Paper: SimMIM, Xie et al. 2022, https://arxiv.org/abs/2111.09886 (Section 3)
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from search_spaces.errors import TrainingError
from search_spaces.parts import Part
from supernet.method import Method, Setup, choose
from supernet.supernet import Supernet
from supernet.supervision import SUPERVISIONS, Step, Supervision


@dataclass(frozen=True)
class MaskedOptions:
    """How long masked images are learnt from, how they are masked, and what follows."""

    share: Annotated[float, Field(gt=0, lt=1)] = 0.3
    """Share of the steps, at the start, that learn from masked images."""
    grid: Annotated[int, Field(ge=2, le=64)] = 4
    """How many patches an image has along each side."""
    mask_ratio: Annotated[float, Field(gt=0, lt=1)] = 0.6
    """Share of the patches that are masked."""
    then: str = "in-place"
    """The supervision of the other steps, with its usual options."""


class Pixels(nn.Module):
    """Predicts the pixels of an image from a map.

    Args:
        dim: The most channels that the map can have.
        channels: Of the image.
        side: Pixels along each side of what one position predicts.
    """

    def __init__(self, dim: int, channels: int, side: int) -> None:
        super().__init__()
        self.side = side
        self.layer = nn.Linear(dim, channels * side * side)

    def forward(self, x: Tensor, resolution: int) -> Tensor:
        """(B, D, H, W) -> (B, C, resolution, resolution)."""
        weight = self.layer.weight[:, : x.shape[1]]
        y = F.linear(x.permute(0, 2, 3, 1).to(weight.dtype), weight, self.layer.bias)
        y = F.pixel_shuffle(y.permute(0, 3, 1, 2), self.side)
        # A child with smaller strides predicts more pixels than there are.
        return F.adaptive_avg_pool2d(y, resolution)


class Masked(Supervision):
    """Masked images at first, then another supervision."""

    whole_step = True

    def __init__(self, setup: Setup, options: MaskedOptions, then: Supervision) -> None:
        super().__init__()
        self.options, self.then = options, then
        self.token = nn.Parameter(torch.zeros(setup.supernet.data_shape.channels))
        self.pixels = _pixels(setup.supernet)

    def losses(self, step: Step) -> Iterator[Tensor]:
        """One for each child, or those of the supervision that takes over."""
        if step.moment.step >= self.options.share * step.moment.steps:
            yield from self.then.losses(step)
            return
        for child in step.children:
            images = step.batch(child).images
            mask = patches(images, self.options.grid, self.options.mask_ratio)
            seen = torch.where(mask, self.token.to(images.dtype)[:, None, None], images)
            *_, last, _ = step.maps(child, seen).values()
            yield masked_error(self.pixels(last, images.shape[-1]), images, mask)
        # The token is what children read, so each worker has the gradient of its own images.
        (self.token.grad,) = step.gradients([self.token])


def patches(images: Tensor, grid: int, ratio: float) -> Tensor:
    """Where images (B, C, R, R) are masked: (B, 1, R, R), as many patches of each image."""
    masked = math.ceil(ratio * grid * grid)
    chance = torch.rand((len(images), grid * grid), device=images.device)
    mask = torch.zeros_like(chance).scatter_(1, chance.topk(masked, dim=1).indices, 1.0)
    mask = mask.view(len(images), 1, grid, grid)
    return F.interpolate(mask, list(images.shape[2:]), mode="nearest") > 0


def masked_error(found: Tensor, images: Tensor, mask: Tensor) -> Tensor:
    """Mean difference over the masked pixels and channels: (B, C, R, R) twice, (B, 1, R, R)."""
    wrong = (found - images).abs() * mask
    return wrong.sum() / (mask.sum() * images.shape[1]).clamp(min=1)


def _pixels(supernet: Supernet) -> Pixels:
    """For the last map of any child."""
    index = supernet.space.part_index(supernet.data_shape)
    *slots, head = (
        [part for i in set(slot.index.ravel().tolist()) if (part := index.parts[i]) is not None]
        for slot in index.slots
    )
    side = math.prod(_largest_stride(parts) for parts in slots)
    return Pixels(max(part.in_dim for part in head), supernet.data_shape.channels, side)


def _largest_stride(parts: list[Part]) -> int:
    return max((part.stride for part in parts), default=1)


def _made(setup: Setup, options: MaskedOptions) -> Masked:
    if options.then == "masked":
        raise TrainingError(
            "After masked images another supervision has to take over. Leave out "
            "supervision.then, or name another one, such as supervision.then=labels."
        )
    return Masked(setup, options, choose(SUPERVISIONS, options.then, {}).make(setup))


SUPERVISIONS.register(
    Method("masked", MaskedOptions, _made, paper="https://arxiv.org/abs/2111.09886")
)
