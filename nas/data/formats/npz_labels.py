"""Labels of an archive of arrays: whole numbers or names, one for each image.

What usually marks an image without a class is refused as a label, or said where it may be one.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nas.data.images import IntArray
from nas.errors import DataError

Array = npt.NDArray[Any]

_IGNORED = (255, 65535, -1, -100)
"""Labels of what has no class: of 8-bit and 16-bit masks, of scikit-learn and of PyTorch."""
_FAR = 10
"""Times the widest gap between the other labels."""


def as_labels(path: Path, name: str, array: Array) -> Array:
    """Labels of shape (N,), whole numbers or text.

    Raises:
        DataError: they are neither, or there is not one for each image.
    """
    labels = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
    if labels.ndim != 1:
        raise DataError(
            f"Array '{name}' of '{path}' has shape {array.shape}; expected one label per "
            "image, (N,). One-hot rows become such labels by argmax(axis=1)."
        )
    if labels.dtype.kind not in "iuU":
        raise DataError(
            f"Array '{name}' of '{path}' is {labels.dtype}; labels are whole numbers or names."
        )
    return labels


def encode(
    path: Path, labels: dict[str, Array], names: Array | None
) -> tuple[tuple[str, ...], dict[str, IntArray]]:
    """Class names, and each split's labels as positions among them.

    Raises:
        DataError: a split has labels that training lacks, one usually marks images without a
            class, or two classes have one name.
    """
    known = np.unique(labels["train"]) if names is None else np.arange(len(names))
    if names is None:
        _check_no_ignored(path, known)
    for split, array in labels.items():
        _check_label_type(path, split, array, text=known.dtype.kind == "U")
        unknown = np.setdiff1d(array, known)
        if len(unknown):
            where = "among the training labels" if names is None else "a position in 'classes'"
            raise DataError(
                f"In '{path}', {split} has label '{unknown[0]}', which is not {where}."
            )
    classes = tuple(str(name) for name in (known if names is None else names))
    repeated = [name for name, count in Counter(classes).items() if count > 1]
    if repeated:
        raise DataError(f"Array 'classes' of '{path}' names '{repeated[0]}' more than once.")
    return classes, {
        split: np.searchsorted(known, array).astype(np.int64) for split, array in labels.items()
    }


def describe_labels(classes: tuple[str, ...]) -> tuple[str, ...]:
    """A sentence if one label lies far from the other numbers."""
    try:
        numbers = [int(name) for name in classes]
    except ValueError:
        return ()
    for apart, rest in ((numbers[-1], numbers[:-1]), (numbers[0], numbers[1:])):
        if len(rest) > 1 and _lies_apart(apart, rest):
            return (f"labels are {rest[0]} to {rest[-1]} and {apart}: is {apart} a class?",)
    return ()


def _lies_apart(label: int, rest: list[int]) -> bool:
    """Whether a label is far from the others, or beside numbers without a gap."""
    gap = min(abs(label - rest[0]), abs(label - rest[-1]))
    widest = max(b - a for a, b in pairwise(rest))
    if widest == 1:
        return label > rest[-1] + 1 or label < 0 == rest[0]
    return gap > _FAR * widest


def _check_no_ignored(path: Path, known: Array) -> None:
    """255, -1 and the like beside 0 ... K-1 mark images without a class."""
    for label in _IGNORED if known.dtype.kind in "iu" else ():
        rest = known[known != label]
        least = 3 if label == -1 else 2  # -1, 0 and 1 may be three classes
        if (
            label in known
            and len(rest) >= least
            and np.array_equal(rest, np.arange(len(rest)))
            and len(rest) != label
        ):
            raise DataError(
                f"In '{path}', labels are 0 to {len(rest) - 1} and {label}, which usually marks "
                "images without a class. Leave these images out; if it is a class, use whole "
                "names as labels."
            )


def _check_label_type(path: Path, split: str, labels: Array, *, text: bool) -> None:
    if (labels.dtype.kind == "U") != text:
        raise DataError(
            f"In '{path}', {split} labels are {labels.dtype}, where "
            f"{'names' if text else 'whole numbers'} were expected, as in the other arrays."
        )
