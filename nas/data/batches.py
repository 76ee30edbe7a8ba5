"""Batches for training and evaluation at any resolution.

A training batch depends on (seed, step, batch size, resolution) alone, so a resumed run sees the
same batches. Resized copies of the images are kept to save time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from nas.data.augment import Augmentation, Mixing, RandAugment, shift_and_flip
from nas.data.images import Images, IntArray, Normalisation, PixelArray
from nas.data.resizing import ResizedImages
from nas.data.zoom import zoomed
from supernet.randomness import Stream, generator


class Batch(NamedTuple):
    """One training batch.

    Attributes:
        images: (B, C, R, R) float32, normalised, in channels-last memory.
        targets: (B, classes) float32, rows sum to 1.
        indices: (B,) int64, positions of the images in the training split.
    """

    images: Tensor
    targets: Tensor
    indices: Tensor


class TrainBatches:
    """Shuffled, augmented, normalised batches of the training images.

    An incomplete last batch of an epoch is left out, unless all images together are fewer than
    one batch.
    """

    def __init__(
        self,
        images: Images,
        normalisation: Normalisation,
        augmentation: Augmentation,
        num_classes: int,
        seed: int = 0,
    ) -> None:
        """Raises SettingsError if `augmentation` does not fit these images."""
        self._labels = images.labels
        self._resized = ResizedImages(images, normalisation)
        self._normalisation = normalisation
        self._augmentation = augmentation
        self._rand_augment = (
            RandAugment(augmentation.randaugment, images.channels, images.pixels.dtype == np.uint8)
            if augmentation.randaugment
            else None
        )
        self._mixing = Mixing(augmentation, num_classes)
        self._seed = seed
        self._order: tuple[int, IntArray] | None = None

    def steps_per_epoch(self, batch_size: int) -> int:
        """Batches in one pass over the images."""
        return max(1, len(self._labels) // batch_size)

    def batch(self, step: int, batch_size: int, resolution: int) -> Batch:
        """The batch of a step, counted from 0 over all epochs."""
        indices = self._indices(step, batch_size)
        pixels = self._shown(indices, resolution, step)
        pixels = shift_and_flip(pixels, self._augmentation, self._seed, step)
        if self._rand_augment is not None:
            pixels = self._rand_augment(pixels, self._seed, step)
        images = _to_tensor(pixels, self._normalisation)
        images, targets = self._mixing(images, self._labels[indices], self._seed, step)
        return Batch(images, targets, torch.from_numpy(indices))

    def _shown(self, indices: IntArray, resolution: int, step: int) -> PixelArray:
        """The images at a resolution, or random parts of them."""
        least = self._augmentation.zoom
        if least == 1.0:
            return self._resized.take(indices, resolution)
        return zoomed(self._resized.as_stored(indices), resolution, least, self._seed, step)

    def _indices(self, step: int, batch_size: int) -> IntArray:
        epoch, position = divmod(step, self.steps_per_epoch(batch_size))
        if self._order is None or self._order[0] != epoch:
            rng = generator(self._seed, Stream.ORDER, epoch)
            self._order = epoch, rng.permutation(len(self._labels))
        return self._order[1][position * batch_size : (position + 1) * batch_size]


class EvalBatches:
    """Normalised batches in the images' own order, all of them, for many rounds of evaluation."""

    def __init__(self, images: Images, normalisation: Normalisation) -> None:
        """The normalisation is always that of the training images."""
        self.labels = images.labels
        self._resized = ResizedImages(images, normalisation)
        self._normalisation = normalisation

    def batches(self, resolution: int, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Images (B, C, R, R) float32 in channels-last memory, and labels (B,) int64."""
        for start in range(0, len(self.labels), batch_size):
            indices = np.arange(start, min(start + batch_size, len(self.labels)))
            pixels = self._resized.take(indices, resolution)
            yield (
                _to_tensor(pixels, self._normalisation),
                torch.from_numpy(self.labels[indices]),
            )


def eval_batches(
    images: Images, normalisation: Normalisation, resolution: int, batch_size: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """One round of `EvalBatches`; keep an `EvalBatches` where there are several."""
    return EvalBatches(images, normalisation).batches(resolution, batch_size)


def _to_tensor(pixels: PixelArray, normalisation: Normalisation) -> Tensor:
    return torch.from_numpy(normalisation.apply(pixels)).permute(0, 3, 1, 2)
