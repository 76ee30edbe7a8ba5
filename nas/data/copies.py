"""Images that stand in several splits: their scores say too much.

Exact copies of the stored pixels are found, whatever made them: copied files, frames of one video,
an augmentation that was saved before the data was split.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

import numpy as np

from nas.data.images import Images


def describe_copies(train: Images, validation: Images, test: Images) -> tuple[str, ...]:
    """A sentence for each pair of splits that share images, and for copies with two labels."""
    prints = fingerprints(train)
    seen = {"training": set(prints)}
    notes = []
    for name, images in (("validation", validation), ("test", test)):
        own = fingerprints(images)
        for other, known in seen.items():
            shared = sum(print_ in known for print_ in own)
            if shared:
                notes.append(
                    f"{shared} of {len(own)} {name} images are exact copies of {other} images: "
                    f"scores on them say too much"
                )
        seen[name] = set(own)
    contradictions = _contradictions(prints, train)
    if contradictions:
        notes.append(f"{contradictions} training images have an exact copy with another label")
    return tuple(notes)


def describe_taught(images: Images, held_out: Mapping[str, Images]) -> Iterator[str]:
    """A sentence for each split of which training has images without their labels."""
    prints = fingerprints(images)
    for name, others in held_out.items():
        known = set(fingerprints(others))
        shared = sum(print_ in known for print_ in prints)
        if shared:
            yield (
                f"{shared} of {len(prints)} are exact copies of {name} images: scores on those "
                "say too much"
            )


def fingerprints(images: Images) -> list[bytes]:
    """Eight bytes for each image; equal pixels have equal ones."""
    rows = np.ascontiguousarray(images.pixels)
    return [hashlib.blake2b(row.data, digest_size=8).digest() for row in rows]


def _contradictions(prints: list[bytes], images: Images) -> int:
    """How many images have a copy of another class."""
    labels: dict[bytes, set[int]] = {}
    for print_, label in zip(prints, images.labels.tolist(), strict=True):
        labels.setdefault(print_, set()).add(label)
    return sum(len(labels[print_]) > 1 for print_ in prints)
