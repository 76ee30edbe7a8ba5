"""Images at other resolutions."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional as F

from nas.data.images import Images, IntArray, Normalisation, PixelArray
from nas.data.margins import groups, margin_of, paint, place_of

_CHUNK = 1024
"""Images resized at once: bounds the memory that float pixels and torch's buffers take."""

_KEEPING = threading.Lock()


class ResizedImages:
    """Images at any resolution, resized once for each as long as the copies fit in memory.

    The margins of padded images have the colour of the mean at every resolution.
    """

    def __init__(
        self, images: Images, normalisation: Normalisation, cache_mib: float = 2048.0
    ) -> None:
        """Keeps copies of up to `cache_mib` in all; resizes batch by batch beyond that."""
        self._pixels, self._sizes = images.pixels, images.sizes
        self._margin = () if images.sizes is None else margin_of(normalisation.mean)
        self._copies: dict[int, PixelArray] = {}
        self._free = cache_mib * 2**20

    def take(self, indices: IntArray, resolution: int) -> PixelArray:
        """The images at `indices` as a new array (B, R, R, C)."""
        if self._pixels.shape[1:3] == (resolution, resolution):
            return self.as_stored(indices)
        with _KEEPING:  # of several threads one resizes
            kept = resolution in self._copies or self._keep(resolution)
        if not kept:
            return self._resize(indices, resolution)
        return self._copies[resolution][indices]

    def as_stored(self, indices: IntArray) -> PixelArray:
        """The images at `indices` as a new array (B, H, W, C) of their own height and width."""
        pixels = self._pixels[indices]
        if self._sizes is not None:
            paint(pixels, self._sizes[indices], self._margin)
        return pixels

    def _keep(self, resolution: int) -> bool:
        """Resizes all images if there is room for them, and says whether there was."""
        count, channels = len(self._pixels), self._pixels.shape[3]
        size = count * resolution**2 * channels * self._pixels.itemsize
        if size > self._free:
            return False
        self._free -= size
        copy = np.empty((count, resolution, resolution, channels), dtype=self._pixels.dtype)
        for start in range(0, count, _CHUNK):
            chunk = np.arange(start, min(start + _CHUNK, count))
            copy[chunk] = self._resize(chunk, resolution)
        self._copies[resolution] = copy
        return True

    def _resize(self, indices: IntArray, resolution: int) -> PixelArray:
        pixels = self._pixels[indices]
        if self._sizes is None:
            return resize(pixels, (resolution, resolution))
        return resize_padded(pixels, self._sizes[indices], resolution, self._margin)


def resize(pixels: PixelArray, size: tuple[int, int]) -> PixelArray:
    """Bilinear with anti-aliasing, (N, H, W, C) to (N, *size, C), the type kept."""
    maps = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    resized = F.interpolate(maps, size=size, mode="bilinear", antialias=True)
    result: PixelArray = resized.permute(0, 2, 3, 1).numpy()
    return result


def resize_padded(
    pixels: PixelArray, sizes: IntArray, resolution: int, margin: Sequence[int]
) -> PixelArray:
    """Resize the pictures within padded images, and lay new margins around them.

    Args:
        pixels: (N, S, S, C).
        sizes: (N, 2), height and width that the pictures had in their files.
        resolution: Side of the result, R.
        margin: Colour of the margins, (C,).

    Returns:
        (N, R, R, C), of the type of `pixels`.
    """
    side, channels = pixels.shape[1], pixels.shape[3]
    out: PixelArray = np.empty((len(pixels), resolution, resolution, channels), pixels.dtype)
    out[...] = margin
    for (height, width), members in groups(sizes):
        here, there = place_of(height, width, side), place_of(height, width, resolution)
        rows, columns = here.slices
        pictures: PixelArray = pixels[members][:, rows, columns].copy()
        out[(members, *there.slices)] = resize(pictures, (there.height, there.width))
    return out
