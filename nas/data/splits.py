"""Stratified hold-outs: each class gives the same share, and at least one image."""

from __future__ import annotations

import numpy as np

from nas.data.images import Images, IntArray


def hold_out(images: Images, share: float, rng: np.random.Generator) -> tuple[Images, Images]:
    """Splits off `share` of every class.

    Args:
        images: At least two of each class that occurs.
        share: Between 0 and 1; rounded per class to at least one image, and to leave at least one.
        rng: Decides which images; their order stays that of `images`.

    Returns:
        The images kept and those held out.
    """
    held = np.zeros(len(images), dtype=bool)
    for members in _members_of_classes(images.labels):
        count = min(max(1, round(share * len(members))), len(members) - 1)
        held[rng.permutation(members)[:count]] = True
    return images.select(np.flatnonzero(~held)), images.select(np.flatnonzero(held))


def _members_of_classes(labels: IntArray) -> list[IntArray]:
    """Positions of the images of each class that occurs, one array per class."""
    order = np.argsort(labels, kind="stable")
    ends = np.flatnonzero(np.diff(labels[order])) + 1
    return list(np.split(order, ends))
