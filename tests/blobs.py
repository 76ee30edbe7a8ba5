"""Training images that a step number decides: two classes, bright above or bright below."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Batch(NamedTuple):
    """Images, target probabilities and image numbers."""

    images: Tensor
    targets: Tensor
    indices: Tensor


class Blobs:
    """Grey images of any size; equal steps give equal ones.

    Args:
        steps: Batches of one epoch.
        dtype: Of images and targets.
    """

    def __init__(self, steps: int = 4, dtype: torch.dtype = torch.float32) -> None:
        self._steps, self._dtype = steps, dtype

    def steps_per_epoch(self, batch_size: int) -> int:
        """The same for every batch size."""
        return self._steps

    def batch(self, step: int, batch_size: int, resolution: int) -> Batch:
        """Images are numbered through each epoch."""
        generator = torch.Generator().manual_seed(step)
        labels = torch.randint(0, 2, (batch_size,), generator=generator)
        images = torch.randn(batch_size, 1, 8, 8, generator=generator) * 0.3
        images[labels == 0, :, :4] += 1
        images[labels == 1, :, 4:] += 1
        images = torch.nn.functional.interpolate(images, (resolution, resolution))
        targets = torch.nn.functional.one_hot(labels, 2)
        indices = torch.arange(batch_size) + step % self._steps * batch_size
        return Batch(images.to(self._dtype), targets.to(self._dtype), indices)
