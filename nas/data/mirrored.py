"""Whether left and right matter in images: arrows, letters, hands, steering.

A network that trains on mirrored images cannot tell that they hurt, because its accuracy on plain
and on mirrored images is equally low. So the images themselves are compared: each takes the class
of the other image that is nearest to it, once among the plain ones alone, once with their mirror
images added. Where left and right mean nothing, the mirror images change next to nothing; of left
and right arrows, every other nearest image is then of the wrong class.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from nas.data.images import FloatArray, IntArray, SearchData
from nas.data.resizing import resize

_SIDE = 16
_MOST = 2000
"""Images that are compared."""
_LOSS, _SIGMAS = 0.05, 3.0
"""A smaller loss, or one that may be chance, is not told."""

_SIDES = (
    *(("left", "right"), ("l", "r"), ("links", "rechts"), ("gauche", "droite")),
    *(("izquierda", "derecha"), ("west", "east"), ("b", "d"), ("p", "q")),
)


def loss_by_mirroring(data: SearchData) -> str | None:
    """A sentence on how much accuracy mirror images cost; None if they cost little."""
    images, labels = _drawn(data)
    distances = np.concatenate(
        [_distances(images, images), _distances(images, images[:, :, ::-1])], axis=1
    )
    count = len(labels)
    plain = labels[distances[:, :count].argmin(axis=1)] == labels
    mirrored = labels[distances.argmin(axis=1) % count] == labels
    lost, won = int((plain & ~mirrored).sum()), int((mirrored & ~plain).sum())
    if lost - won < max(_LOSS * count, _SIGMAS * (lost + won) ** 0.5):
        return None
    return (
        f"The nearest other image is of the same class for {plain.mean():.0%} of {count} images, "
        f"and for {mirrored.mean():.0%} once mirror images are added."
    )


def sided_classes(classes: Sequence[str]) -> tuple[str, str] | None:
    """Two classes whose names say that one is the other in a mirror, as turn-left and turn-right.

    Pictures can be too different from each other for their nearest ones to tell.
    """
    by_words = {tuple(_words(name)): name for name in classes}
    for words, name in by_words.items():
        for left, right in _SIDES:
            other = tuple(right if word == left else word for word in words)
            if other != words and other in by_words:
                return name, by_words[other]
    return None


def _words(name: str) -> list[str]:
    return re.findall(r"[a-z]+|\d+", re.sub(r"([a-z])([A-Z])", r"\1 \2", name).lower())


def _drawn(data: SearchData) -> tuple[FloatArray, IntArray]:
    """Some small images as (n, side, side, channels) floats, and their labels."""
    labels = np.concatenate([data.train.labels, data.validation.labels])
    chosen = np.sort(np.random.default_rng(0).permutation(len(labels))[:_MOST])
    split = np.searchsorted(chosen, len(data.train))
    pixels = np.concatenate(
        [
            data.train.pixels[chosen[:split]],
            data.validation.pixels[chosen[split:] - len(data.train)],
        ]
    )
    small = resize(pixels.astype(np.float32), (_SIDE, _SIDE))
    return np.asarray(small, dtype=np.float32), labels[chosen]


def _distances(images: FloatArray, others: FloatArray) -> FloatArray:
    """Squared distances less what each row has in common, (n, n); infinite to the image itself.

    The same holds for an image and its own mirror image.
    """
    a, b = (array.reshape(len(array), -1) for array in (images, others))
    distances: FloatArray = (b**2).sum(axis=1) - 2 * (a @ b.T)
    np.fill_diagonal(distances, np.inf)
    return distances
