"""Random enlarged parts of training images, as photographs are usually varied.

Paper: Going deeper with convolutions, Szegedy et al. 2014, https://arxiv.org/abs/1409.4842
       (Section 6)
"""

from __future__ import annotations

import numpy as np

from nas.data.images import PixelArray
from nas.data.resizing import resize
from supernet.randomness import Stream, generator

LEAST_RATIO, LARGEST_RATIO = 3 / 4, 4 / 3
"""Width over height of a part, relative to that of the image."""


def zoomed(pixels: PixelArray, resolution: int, least: float, seed: int, step: int) -> PixelArray:
    """A random part of each image, brought to a resolution.

    Args:
        pixels: Images, (B, H, W, C).
        resolution: Side of the result.
        least: Smallest share of an image's area that its part has; the largest is 1.
        seed: Decides the parts.
        step: Decides them too; they are the same at every resolution.

    Returns:
        (B, resolution, resolution, C).
    """
    count, height, width, channels = pixels.shape
    out = np.empty((count, resolution, resolution, channels), pixels.dtype)
    boxes = _boxes(count, height, width, least, seed, step)
    for image, source, (top, left, bottom, right) in zip(out, pixels, boxes, strict=True):
        image[...] = resize(source[None, top:bottom, left:right], (resolution, resolution))[0]
    return out


def _boxes(
    count: int, height: int, width: int, least: float, seed: int, step: int
) -> list[tuple[int, int, int, int]]:
    """Top, left, bottom and right of each image's part."""
    rng = generator(seed, Stream.ZOOM, step)
    area = rng.uniform(least, 1.0, count)
    ratio = np.exp(rng.uniform(np.log(LEAST_RATIO), np.log(LARGEST_RATIO), count))
    place = rng.random((count, 2))
    tall = np.clip(np.rint(np.sqrt(area / ratio) * height), 1, height)
    wide = np.clip(np.rint(np.sqrt(area * ratio) * width), 1, width)
    top, left = np.rint(place[:, 0] * (height - tall)), np.rint(place[:, 1] * (width - wide))
    boxes = np.stack([top, left, top + tall, left + wide], axis=1).astype(int)
    return [tuple(box) for box in boxes.tolist()]
