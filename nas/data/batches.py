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
from torch.nn import functional as F

from nas.data.augment import Augmentation, Mixing, RandAugment, shift_and_flip
from nas.data.images import Images, IntArray, Normalisation, PixelArray
from supernet.randomness import Stream, generator

_CHUNK = 1024
"""Images resized at once: bounds the memory that float pixels and torch's buffers take."""


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
        self._resized = ResizedImages(images)
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
        pixels = self._resized.take(indices, resolution)
        pixels = shift_and_flip(pixels, self._augmentation, self._seed, step)
        if self._rand_augment is not None:
            pixels = self._rand_augment(pixels, self._seed, step)
        images = _to_tensor(pixels, self._normalisation)
        images, targets = self._mixing(images, self._labels[indices], self._seed, step)
        return Batch(images, targets, torch.from_numpy(indices))

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
        self._labels = images.labels
        self._resized = ResizedImages(images)
        self._normalisation = normalisation

    def batches(self, resolution: int, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Images (B, C, R, R) float32 in channels-last memory, and labels (B,) int64."""
        for start in range(0, len(self._labels), batch_size):
            indices = np.arange(start, min(start + batch_size, len(self._labels)))
            pixels = self._resized.take(indices, resolution)
            yield (
                _to_tensor(pixels, self._normalisation),
                torch.from_numpy(self._labels[indices]),
            )


def eval_batches(
    images: Images, normalisation: Normalisation, resolution: int, batch_size: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """One round of `EvalBatches`; keep an `EvalBatches` where there are several."""
    return EvalBatches(images, normalisation).batches(resolution, batch_size)


class ResizedImages:
    """Images at any resolution, resized once for each as long as the copies fit in memory."""

    def __init__(self, images: Images, cache_mib: float = 2048.0) -> None:
        """Keeps copies of up to `cache_mib` in all; resizes batch by batch beyond that."""
        self._pixels = images.pixels
        self._copies: dict[int, PixelArray] = {}
        self._free = cache_mib * 2**20

    def take(self, indices: IntArray, resolution: int) -> PixelArray:
        """The images at `indices` as a new array (B, R, R, C)."""
        if self._pixels.shape[1:3] == (resolution, resolution):
            return self._pixels[indices]
        if resolution not in self._copies and not self._keep(resolution):
            return resize(self._pixels[indices], resolution)
        return self._copies[resolution][indices]

    def _keep(self, resolution: int) -> bool:
        """Resizes all images if there is room for them, and says whether there was."""
        count, channels = len(self._pixels), self._pixels.shape[3]
        size = count * resolution**2 * channels * self._pixels.itemsize
        if size > self._free:
            return False
        self._free -= size
        copy = np.empty((count, resolution, resolution, channels), dtype=self._pixels.dtype)
        for start in range(0, count, _CHUNK):
            chunk = slice(start, start + _CHUNK)
            copy[chunk] = resize(self._pixels[chunk], resolution)
        self._copies[resolution] = copy
        return True


def resize(pixels: PixelArray, resolution: int) -> PixelArray:
    """Bilinear with anti-aliasing, (N, H, W, C) to (N, R, R, C), the type kept."""
    maps = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    size = (resolution, resolution)
    resized = F.interpolate(maps, size=size, mode="bilinear", antialias=True)
    result: PixelArray = resized.permute(0, 2, 3, 1).numpy()
    return result


def _to_tensor(pixels: PixelArray, normalisation: Normalisation) -> Tensor:
    return torch.from_numpy(normalisation.apply(pixels)).permute(0, 3, 1, 2)
