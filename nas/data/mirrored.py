"""Whether left and right matter in images: arrows, letters, hands, steering.

A network that trains on mirrored images cannot tell that they hurt, because its accuracy on plain
and on mirrored images is equally low. So the images themselves are compared: each validation image
takes the class of the nearest training image, once among the plain ones alone, once with their
mirror images added. Where left and right mean nothing, the mirror images change next to nothing;
of left and right arrows, every other nearest image is then of the wrong class.
"""

from __future__ import annotations

import numpy as np

from nas.data.batches import resize
from nas.data.images import Images, PixelArray, SearchData

_SIDE = 16
_TRAIN, _VALIDATION = 2000, 500
"""Images that are compared, at most."""
_LOSS, _SIGMAS = 0.05, 3.0
"""A smaller loss, or one that may be chance, is not told."""


def loss_by_mirroring(data: SearchData) -> str | None:
    """A sentence on how much accuracy mirror images cost; None if they cost little."""
    train, train_labels = _drawn(data.train, _TRAIN)
    images, labels = _drawn(data.validation, _VALIDATION)
    plain = train_labels[_nearest(images, train)] == labels
    both = np.concatenate([train, train[:, :, ::-1]])
    mirrored = np.tile(train_labels, 2)[_nearest(images, both)] == labels
    lost, won = int((plain & ~mirrored).sum()), int((mirrored & ~plain).sum())
    if lost - won < max(_LOSS * len(labels), _SIGMAS * (lost + won) ** 0.5):
        return None
    return (
        f"By the nearest training image, {plain.mean():.0%} of the validation images get their "
        f"class; with mirrored training images beside them, {mirrored.mean():.0%}."
    )


def _drawn(images: Images, most: int) -> tuple[PixelArray, np.ndarray]:
    """Some small images as (n, side, side, channels) floats, and their labels."""
    chosen = np.sort(np.random.default_rng(0).permutation(len(images))[:most])
    pixels = images.pixels[chosen].astype(np.float32)
    return resize(pixels, _SIDE), images.labels[chosen]


def _nearest(images: PixelArray, others: PixelArray) -> np.ndarray:
    """The position of the nearest other image of each image, (n,)."""
    a, b = (array.reshape(len(array), -1) for array in (images, others))
    return np.asarray(np.argmin((b**2).sum(axis=1) - 2 * (a @ b.T), axis=1))
