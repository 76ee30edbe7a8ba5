"""Archives of arrays."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.data import load_data
from nas.data.formats.npz import read
from nas.errors import DataError
from nas.reading import ReadOptions

MakeNpz = Callable[..., Path]

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 5, 7, 3), dtype=np.uint8)
LABELS = np.arange(12) % 3


def test_images_and_labels_are_enough(make_npz: MakeNpz) -> None:
    data = load_data(f"npz:{make_npz(images=IMAGES, labels=LABELS)}")
    assert (data.name, data.classes) == ("arrays", ("0", "1", "2"))
    assert data.native_size == (5, 7)
    assert data.notes[0] == (
        "images are 7x5, RGB; each architecture resizes them to its own resolution "
        "(square: they are squeezed)"
    )


def test_grey_images_need_no_channel_axis(make_npz: MakeNpz) -> None:
    source = read(make_npz(images=IMAGES[..., 0], labels=LABELS))
    np.testing.assert_array_equal(source.train.pixels, IMAGES[..., :1])


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.uint16, np.int32, np.bool_])
def test_numbers_that_are_no_bytes_become_float32_as_they_are(
    make_npz: MakeNpz, dtype: Any
) -> None:
    images = np.random.default_rng(0).integers(0, 2, (12, 5, 5, 9)).astype(dtype)
    data = load_data(f"npz:{make_npz(images=images, labels=LABELS)}")
    assert data.train.pixels.dtype == np.float32 and data.shape.channels == 9
    assert set(np.unique(data.train.pixels)) == {0.0, 1.0}
    assert data.normalisation.scale == 1.0 and len(data.normalisation.mean) == 9
    assert any("kept as float32" in note for note in data.notes)
    assert "9 channels" in data.notes[0]


def test_labels_may_be_names(make_npz: MakeNpz) -> None:
    names = np.array(["plane", "car", "boat"])[LABELS]
    source = read(make_npz(images=IMAGES, labels=names))
    assert source.classes == ("boat", "car", "plane")
    np.testing.assert_array_equal(source.train.labels[:3], [2, 1, 0])


def test_labels_may_be_any_whole_numbers(make_npz: MakeNpz) -> None:
    source = read(make_npz(images=IMAGES, labels=LABELS * 10 - 5))
    assert source.classes == ("-5", "5", "15")
    np.testing.assert_array_equal(source.train.labels, LABELS)


def test_classes_name_the_labels(make_npz: MakeNpz) -> None:
    source = read(make_npz(images=IMAGES, labels=LABELS, classes=["a", "b", "c"]))
    assert source.classes == ("a", "b", "c")


def test_medmnist_names_and_shapes_are_read(make_npz: MakeNpz) -> None:
    parts = {f"{split}_images": IMAGES for split in ("train", "val", "test")}
    parts |= {f"{split}_labels": LABELS[:, None] for split in ("train", "val", "test")}
    source = read(make_npz(**parts))
    assert source.validation is not None and source.test is not None
    np.testing.assert_array_equal(source.test.labels, LABELS)


@pytest.mark.parametrize("names", [["train", "val", "test"], [0, 1, 2]])
def test_an_array_may_name_the_split_of_each_image(make_npz: MakeNpz, names: list[Any]) -> None:
    split = np.array(names)[np.repeat([0, 1, 2], [6, 3, 3])]
    source = read(make_npz(images=IMAGES, labels=LABELS, split=split))
    assert source.validation is not None and source.test is not None
    np.testing.assert_array_equal(source.train.pixels, IMAGES[:6])
    np.testing.assert_array_equal(source.validation.pixels, IMAGES[6:9])
    np.testing.assert_array_equal(source.test.labels, LABELS[9:])


def test_arrays_that_are_not_used_are_named(make_npz: MakeNpz) -> None:
    source = read(make_npz(images=IMAGES, labels=LABELS, val_pictures=IMAGES))
    assert source.notes == ("arrays not used: val_pictures",)


def _with_nan() -> np.ndarray:
    images = IMAGES.astype(np.float32)
    images[[2, 5], 0, 0, 0] = np.nan, np.inf
    return images


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"labels": LABELS}, r"no array 'images'; it holds 'labels' \(12,\)\. Name"),
        ({"images": IMAGES}, r"no array 'labels'; it holds 'images' \(12, 5, 7, 3\)"),
        (
            {"pics": IMAGES},
            r"no array 'images'; it holds 'pics' \(12, 5, 7, 3\)",
        ),
        ({"images": IMAGES, "labels": LABELS, "val_images": IMAGES}, r"no array 'val_labels'"),
        ({"images": IMAGES, "labels": LABELS[:5]}, r"'images' has 12 entries but 'labels' 5"),
        ({"images": _with_nan(), "labels": LABELS}, r"NaN or infinite values in 2 of 12 images"),
        ({"images": IMAGES[:0], "labels": LABELS[:0]}, r"shape \(0, 5, 7, 3\); expected \(N, H"),
        ({"images": IMAGES[0, 0], "labels": LABELS}, r"shape \(7, 3\); expected \(N, H, W\)"),
        (
            {"images": np.zeros((12, 3, 8, 8), np.uint8), "labels": LABELS},
            r"second axis \(3 channels, 8 x 8 pixels\) or its last \(8 channels, 3 x 8 pixels\)",
        ),
        ({"images": np.zeros((12, 3, 32, 48), np.uint8), "labels": LABELS}, r"--layout-of-arrays"),
        ({"images": np.zeros((12, 8, 8, 8)), "labels": LABELS}, r"--layout-of-arrays NCHW or"),
        (
            {"images": IMAGES, "labels": np.r_[np.arange(10) % 5, 255, 255]},
            r"labels are 0 to 4 and 255, which usually marks images without a class",
        ),
        (
            {"images": IMAGES, "labels": LABELS, "layout": "CHWN"},
            r"'layout' .* says 'CHWN'; it can be NHWC or NCHW",
        ),
        (
            {
                **{"images": IMAGES / 255.0, "labels": LABELS},
                **{"test_images": IMAGES * 1.0, "test_labels": LABELS},
            },
            r"test images have values from 0 to 255, but train images from 0 to 1\. Scale all",
        ),
        (
            {"images": IMAGES, "labels": np.r_[np.arange(10) % 2, 255, 255]},
            r"labels are 0 to 1 and 255, which usually marks",
        ),
        ({"images": IMAGES, "labels": np.r_[np.arange(10) % 3, -100, -100]}, r"to 2 and -100, wh"),
        ({"images": IMAGES, "labels": np.r_[np.arange(9) % 3, [65535] * 3]}, r"and 65535, which"),
        ({"images": np.zeros((12, 3, 3, 48), np.uint8), "labels": LABELS}, r"--layout-of-arrays"),
        ({"images": np.zeros((12, 4, 4, 3), np.uint8), "labels": LABELS}, r"--layout-of-arrays"),
        ({"images": np.moveaxis(IMAGES, 0, -1), "labels": LABELS}, r"12 labels: its last axis"),
        ({"images": IMAGES[..., 0].T, "labels": LABELS}, r"12 labels: its last axis seems to"),
        (
            {"images": IMAGES.astype(np.int64) + 2**40, "labels": LABELS},
            r"which float32 cannot hold or tell",
        ),
        ({"images": IMAGES * 1e300, "labels": LABELS}, r"which float32 cannot hold or tell"),
        ({"images": IMAGES, "labels": LABELS, "classes": list("aab")}, r"names 'a' more than"),
        ({"x_train": IMAGES, "ytrain": LABELS}, r"it holds 'x_train' \(12, 5, 7, 3\), 'ytrain'"),
        ({"images": IMAGES, "labels": LABELS, "X_test": IMAGES}, r"has no array 'test_labels'"),
        ({"images": IMAGES.astype(str), "labels": LABELS}, r"'images' .* is <U3, not numbers"),
        ({"images": IMAGES, "labels": np.eye(12)}, r"shape \(12, 12\); expected one label per"),
        ({"images": IMAGES, "labels": LABELS + 0.5}, r"is float64; labels are whole numbers or"),
        (
            {"images": IMAGES, "labels": np.array([None] * 12)},
            r"Array 'labels' .* cannot be read \(Object arrays .* Objects are refused",
        ),
        (
            {"images": IMAGES, "labels": LABELS, "split": LABELS[:4]},
            r"'split' has shape \(4,\) for 12 images",
        ),
        (
            {"images": IMAGES, "labels": LABELS, "split": LABELS + 1},
            r"'split' .* holds '3'; expected train, val, test or 0, 1, 2",
        ),
        (
            {"images": IMAGES, "labels": LABELS, "split": np.full(12, "test")},
            r"gives no image to train\. Found: \['test'\]",
        ),
        (
            {
                **{"images": IMAGES, "labels": LABELS, "split": LABELS},
                **{"test_images": IMAGES, "test_labels": LABELS},
            },
            r"both 'split' and val_ or test_ arrays",
        ),
        (
            {
                **{"images": IMAGES, "labels": LABELS},
                **{"test_images": IMAGES[..., :1], "test_labels": LABELS},
            },
            r"test images are uint8 \(5, 7, 1\) but train images are uint8 \(5, 7, 3\)",
        ),
        (
            {
                **{"images": IMAGES, "labels": LABELS},
                **{"val_images": IMAGES, "val_labels": LABELS + 1},
            },
            r"validation has label '3', which is not among the training labels",
        ),
        (
            {"images": IMAGES, "labels": LABELS, "classes": ["a", "b"]},
            r"train has label '2', which is not a position in 'classes'",
        ),
        (
            {"images": IMAGES, "labels": LABELS.astype(str), "classes": ["a", "b", "c"]},
            r"train labels are <U21, where whole numbers were expected",
        ),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    make_npz: MakeNpz, arrays: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read(make_npz(**arrays))


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    for content in (b"", b"not an archive", b"PK\x03\x04 cut off"):
        path.write_bytes(content)
        with pytest.raises(DataError, match="is not an npz archive"):
            read(path)
    path.write_bytes(pickle.dumps(IMAGES))
    with pytest.raises(DataError, match="pickle, and reading one runs code.*numpy.savez") as found:
        read(path)
    assert "allow_pickle" not in str(found.value)


def test_a_single_array_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", IMAGES)
    with pytest.raises(DataError, match="is one array, not an npz archive of `images`"):
        read(tmp_path / "x.npy")


def test_the_order_of_axes_can_be_said(make_npz: MakeNpz) -> None:
    first = np.moveaxis(IMAGES, -1, 1)
    told = read(make_npz(images=first, labels=LABELS), ReadOptions(array_layout="NCHW"))
    np.testing.assert_array_equal(told.train.pixels, IMAGES)
    in_file = read(make_npz(images=first, labels=LABELS, layout="nchw"))
    np.testing.assert_array_equal(in_file.train.pixels, IMAGES)


def test_the_names_of_keras_are_read(make_npz: MakeNpz) -> None:
    arrays = {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES, "y_test": LABELS}
    source = read(make_npz(**arrays))
    assert source.test is not None and len(source.train) == len(source.test) == 12


@pytest.mark.parametrize(
    ("pixels", "labels"), [("X_train", "Y_train"), ("train_x", "train_y"), ("data", "target")]
)
def test_other_usual_names_are_read(make_npz: MakeNpz, pixels: str, labels: str) -> None:
    source = read(make_npz(**{pixels: IMAGES, labels: LABELS}))
    np.testing.assert_array_equal(source.train.pixels, IMAGES)
    assert source.notes == ()


def test_a_split_called_valid_is_validation(make_npz: MakeNpz) -> None:
    arrays = {"x_train": IMAGES, "y_train": LABELS, "x_valid": IMAGES[:3], "y_valid": LABELS[:3]}
    source = read(make_npz(**arrays))
    assert source.validation is not None and len(source.validation) == 3
    split = np.array(["Train", "VALID"])[np.arange(12) // 9]
    source = read(make_npz(images=IMAGES, labels=LABELS, split=split))
    assert source.validation is not None and len(source.validation) == 3


@pytest.mark.parametrize(
    ("test", "said"),
    [
        ((IMAGES // 255), r"test images have values from 0 to 1, but train images from 0 to 25"),
        (IMAGES, None),
    ],
)
def test_splits_of_bytes_that_were_scaled_differently_are_said(
    make_npz: MakeNpz, test: np.ndarray, said: str | None
) -> None:
    notes = read(
        make_npz(images=IMAGES, labels=LABELS, test_images=test, test_labels=LABELS)
    ).notes
    assert (said is None) == (notes == ())
    assert said is None or re.match(said, notes[0])


def test_splits_of_other_signs_are_said(make_npz: MakeNpz) -> None:
    arrays = {"images": IMAGES / 255.0, "test_images": IMAGES / 127.5 - 1}
    source = read(make_npz(**arrays, labels=LABELS, test_labels=LABELS))
    assert "were they scaled alike?" in source.notes[0]


@pytest.mark.parametrize(
    ("labels", "apart"),
    [
        ([0, 1, 2, 99], 99),
        ([-1, 0, 1], -1),
        ([0, 1, 3, 255], 255),
        ([-(2**63), 0, 1, 5], -(2**63)),
        ([0, 1, 2], None),
        ([0, 9], None),
        ([0, 128, 255], None),
        ([10, 20, 30], None),
    ],
)
def test_a_label_apart_from_the_others_is_said(
    make_npz: MakeNpz, labels: list[int], apart: int | None
) -> None:
    source = read(make_npz(images=IMAGES, labels=np.resize(labels, 12)))
    asked = [note.partition(": ")[2] for note in source.notes if "a class?" in note]
    assert asked == ([] if apart is None else [f"is {apart} a class?"])


@pytest.mark.parametrize(("times", "said"), [(255.0, True), (2.0, False)])
def test_a_single_image_of_another_scale_is_said(
    make_npz: MakeNpz, times: float, said: bool
) -> None:
    images = np.random.default_rng(0).random(IMAGES.shape)
    images[3] *= times
    notes = read(make_npz(images=images, labels=LABELS)).notes
    assert [note for note in notes if "median" in note] == (
        [
            "1 of 12 train images have values more than 10 times as large as the median image: "
            "were they scaled alike?"
        ]
        if said
        else []
    )


def test_a_split_called_dev_is_validation(make_npz: MakeNpz) -> None:
    source = read(make_npz(images=IMAGES, labels=LABELS, dev_images=IMAGES, dev_labels=LABELS))
    assert source.validation is not None and source.notes == ()


def test_pictures_that_are_almost_black_are_said(make_npz: MakeNpz) -> None:
    source = read(make_npz(images=IMAGES // 128, labels=LABELS))
    assert source.notes == ("pixels are uint8 but none is above 1: is that right?",)
