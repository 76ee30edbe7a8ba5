"""Images at other resolutions."""

from __future__ import annotations

import threading

import numpy as np
import torch
from torch.nn import functional as F

from nas.data.images import Images, IntArray, PixelArray

_CHUNK = 1024
"""Images resized at once: bounds the memory that float pixels and torch's buffers take."""

_KEEPING = threading.Lock()


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
        with _KEEPING:  # of several threads one resizes
            kept = resolution in self._copies or self._keep(resolution)
        if not kept:
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
