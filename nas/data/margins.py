"""Margins: the picture within a padded image, and the colour around it.

+-----------+
|  margin   |    The longer side of the picture is the side of the square;
|-----------|    the picture lies in the middle.
|  picture  |
|-----------|    A resized image is the resized picture with new margins: resized together,
|  margin   |    they would run into each other, and no transform of timm gives that.
+-----------+
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from nas.data.images import IntArray, PixelArray


class Place(NamedTuple):
    """Where a picture lies in its square, in pixels."""

    top: int
    left: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Its rows and columns."""
        rows = slice(self.top, self.top + self.height)
        return rows, slice(self.left, self.left + self.width)


def place_of(height: int, width: int, side: int) -> Place:
    """Where a picture of `height` x `width` pixels lies in a square, rounded as timm rounds it."""
    ratio = side / max(height, width)
    tall, wide = (max(1, round(length * ratio)) for length in (height, width))
    return Place((side - tall) // 2, (side - wide) // 2, tall, wide)


def margin_of(mean: Sequence[float]) -> tuple[int, ...]:
    """The colour of margins: the mean that images are normalised with, as timm rounds it.

    Args:
        mean: Per channel, on a scale of 0 to 1.
    """
    return tuple(round(255 * value) for value in mean)


def paint(pixels: PixelArray, sizes: IntArray, margin: Sequence[int]) -> None:
    """Give the margins of padded images (N, S, S, C) a colour, in place."""
    for image, (height, width) in zip(pixels, sizes.tolist(), strict=True):
        place = place_of(height, width, len(image))
        image[: place.top] = margin
        image[place.top + place.height :] = margin
        image[:, : place.left] = margin
        image[:, place.left + place.width :] = margin


def groups(sizes: IntArray) -> list[tuple[tuple[int, int], IntArray]]:
    """Each height and width that occurs, and the positions of its images."""
    kinds, which = np.unique(sizes, axis=0, return_inverse=True)
    which = which.reshape(-1)
    return [
        ((int(height), int(width)), np.flatnonzero(which == number))
        for number, (height, width) in enumerate(kinds)
    ]
