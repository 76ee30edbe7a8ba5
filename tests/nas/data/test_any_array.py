"""Archives of arrays as people save them, made at random: read right, or refused with a reason."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nas.data.formats.npz import read
from nas.data.images import Images
from nas.errors import DataError
from nas.reading import ReadOptions

Arrays = dict[str, np.ndarray[Any, Any]]

NAMES = (
    ("images", "labels", "test_images", "test_labels"),
    ("x_train", "y_train", "x_test", "y_test"),
    ("train_images", "train_labels", "test_images", "test_labels"),
    ("X", "y", "X_test", "y_test"),
    ("pictures", "classes_of", "more", "others"),
)
LAYOUTS = {"NHWC": (0, 1, 2, 3), "NCHW": (0, 3, 1, 2), "HWCN": (1, 2, 3, 0)}
LABELS = ("numbers", "names", "column", "shifted", "ignored", "one-hot", "floats", "too few")
HARMS = ("none", "none", "none", "none", "NaN", "other scale", "far away", "split array")


@dataclass(frozen=True)
class Archive:
    """What is saved, and how."""

    names: tuple[str, str, str, str]
    layout: str
    said: bool
    """Whether the order of axes is said."""
    labels: str
    harm: str
    dtype: str
    shape: tuple[int, int, int]
    count: int
    test: bool
    """Whether there is a test split."""


archives = st.builds(
    Archive,
    st.sampled_from(NAMES),
    st.sampled_from(tuple(LAYOUTS)),
    st.booleans(),
    st.sampled_from(LABELS),
    st.sampled_from(HARMS),
    st.sampled_from(("uint8", "uint16", "int32", "float32", "float64", "bool")),
    st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from((1, 2, 3, 4, 12))),
    st.integers(6, 12),
    st.booleans(),
)


def pictures(archive: Archive, seed: int) -> np.ndarray[Any, Any]:
    """Images as they are meant, (N, H, W, C)."""
    rng = np.random.default_rng(seed)
    high = 2 if archive.dtype == "bool" else 256
    return rng.integers(0, high, (archive.count, *archive.shape)).astype(archive.dtype)


def labels_of(archive: Archive) -> tuple[np.ndarray[Any, Any], list[str]]:
    """Labels as they are saved, and the name of each image's class."""
    numbers = np.arange(archive.count) % 3
    saved = {
        "names": np.array(["car", "Boat", "é"])[numbers],
        "column": numbers[:, None],
        "shifted": numbers * 10 - 7,
        "ignored": np.where(np.arange(archive.count) > 3, 255, numbers),
        "one-hot": np.eye(3)[numbers],
        "floats": numbers + 0.5,
        "too few": numbers[1:],
    }.get(archive.labels, numbers)
    return saved, [str(label) for label in saved.reshape(len(saved), -1)[:, 0]]


def arrays_of(archive: Archive, train: np.ndarray[Any, Any], test: np.ndarray[Any, Any]) -> Arrays:
    """The arrays of the file."""
    order, saved = LAYOUTS[archive.layout], labels_of(archive)[0]
    found = {archive.names[0]: train.transpose(order), archive.names[1]: saved}
    if archive.test:
        found |= {archive.names[2]: test.transpose(order), archive.names[3]: saved}
    if archive.said:
        found["layout"] = np.array(archive.layout)
    if archive.harm == "split array":
        found["split"] = np.array(["train"] * (archive.count - 1) + ["valid"])
    return found


@settings(max_examples=200, deadline=None, derandomize=True)
@given(archives)
def test_arrays_are_read_as_they_are_meant_or_refused(archive: Archive) -> None:
    height, width, channels = archive.shape
    # Of these shapes no one can tell that the channels come first: images of `width` channels.
    assume(archive.layout != "NCHW" or archive.said or not (channels > 4 >= width))
    assume(archive.layout != "NCHW" or archive.said or channels <= 4 or channels != height)
    train, test = pictures(archive, 0), pictures(archive, 1)
    if archive.harm == "NaN" and train.dtype.kind == "f":
        train[2, 0, 0, 0] = np.nan
    if archive.harm == "other scale" and train.dtype.kind == "f":
        test /= 255
    if archive.harm == "far away" and train.dtype == np.float64:
        train += 1e12
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "arrays.npz"
        np.savez(path, allow_pickle=True, **arrays_of(archive, train, test))
        try:
            source = read(path, ReadOptions())
        except DataError as error:
            assert len(str(error)) > 40 and "Traceback" not in str(error)
            return
    assert archive.layout != "HWCN" and archive.labels in ("numbers", "names", "column", "shifted")
    parts: list[Images] = [part for part in (source.train, source.validation) if part]
    pixels = np.concatenate([part.pixels for part in parts])
    np.testing.assert_array_equal(pixels, train.astype(pixels.dtype))
    classes = [source.classes[label] for part in parts for label in part.labels]
    assert classes == labels_of(archive)[1]
    if archive.test:
        assert source.test is not None
        np.testing.assert_array_equal(source.test.pixels, test.astype(pixels.dtype))
