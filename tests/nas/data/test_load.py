"""What `load_data` promises for every kind of data."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from nas.data import KINDS, Dataset, Images, load_data
from nas.errors import DataError, SettingsError, UnknownNameError
from nas.reading import ReadOptions
from search_spaces.data_shape import DataShape


def _rows(images: Images) -> set[bytes]:
    return {image.tobytes() for image in images.pixels}


def test_digits_are_split_into_three_disjoint_parts(digits: Dataset) -> None:
    parts = [digits.train, digits.validation, digits.open_test()]
    assert [len(part) for part in parts] == [1300, 228, 269]
    assert len(set.union(*map(_rows, parts))) == sum(len(_rows(part)) for part in parts)


def test_every_class_gives_the_same_share(digits: Dataset) -> None:
    whole = np.bincount(np.concatenate([digits.train.labels, digits.validation.labels]))
    held = np.bincount(digits.validation.labels)
    np.testing.assert_array_equal(held, np.rint(0.15 * whole))
    assert digits.class_counts == tuple(whole - held)


def test_digits_use_the_whole_range_of_a_byte(digits: Dataset) -> None:
    assert digits.train.pixels.dtype == np.uint8
    assert (digits.train.pixels.min(), digits.train.pixels.max()) == (0, 255)
    assert digits.shape == DataShape(1, 10) and digits.native_size == (8, 8)


def test_the_split_ignores_global_generators(digits: Dataset) -> None:
    random.seed(7), np.random.seed(7), torch.manual_seed(7)
    again = load_data("digits")
    assert again.id == digits.id
    np.testing.assert_array_equal(again.train.pixels, digits.train.pixels)


def test_another_seed_or_share_is_another_id(digits: Dataset) -> None:
    others = [
        load_data("digits", seed=1),
        load_data("digits", validation_share=0.2),
        load_data("digits", test_share=0.2),
    ]
    assert len({digits.id, *(other.id for other in others)}) == 4


def test_a_search_has_no_way_to_the_test_split(digits: Dataset) -> None:
    view = digits.search_view()
    assert not [name for name in dir(view) if "test" in name]
    test = _rows(digits.open_test())
    for value in (getattr(view, field.name) for field in dataclasses.fields(view)):
        if isinstance(value, Images):
            assert value.pixels.base is None
            assert not _rows(value) & test


def test_a_search_sees_everything_else(digits: Dataset) -> None:
    view = digits.search_view()
    for name in ("kind", "name", "id", "classes", "train", "validation", "normalisation", "notes"):
        assert getattr(view, name) is getattr(digits, name)
    assert view.class_counts == digits.class_counts
    assert (view.shape, view.native_size) == (DataShape(1, 10), (8, 8))


def test_normalisation_comes_from_the_training_images_alone(digits: Dataset) -> None:
    pixels = digits.train.pixels / 255.0
    assert digits.normalisation.mean == pytest.approx((pixels.mean(),))
    assert digits.normalisation.std == pytest.approx((pixels.std(),))


def test_notes_say_what_was_done(digits: Dataset) -> None:
    assert digits.notes == (
        "images are 8x8, grey; each architecture resizes them to its own resolution",
        "test: 15% of the images held out; the data brings no test split",
        "validation: 15% of the training images held out",
    )


def test_imbalance_is_counted_and_noted(make_npz: Callable[..., Path]) -> None:
    labels = np.repeat([0, 1], [40, 10])
    data = load_data(f"npz:{make_npz(images=np.zeros((50, 4, 4), np.uint8), labels=labels)}")
    assert data.class_counts == (29, 7)
    assert any("'0' has 29 training images, '1' 7; balanced" in note for note in data.notes)


def test_a_class_missing_from_an_official_split_is_noted(make_npz: Callable[..., Path]) -> None:
    images, labels = np.zeros((12, 4, 4), np.uint8), np.arange(12) % 2
    path = make_npz(images=images, labels=labels, test_images=images[:3], test_labels=[1, 1, 1])
    assert "test has no image of 1 classes, such as '0'" in load_data(f"npz:{path}").notes


def test_an_unknown_kind_names_the_nearest() -> None:
    assert len(KINDS) == 5
    with pytest.raises(UnknownNameError, match=r"Unknown data 'digts'\. Did you mean 'digits'\?"):
        load_data("digts")


def test_a_bare_path_is_told_how_to_be_written(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=f"write `folder:{tmp_path}`"):
        load_data(str(tmp_path))
    file = tmp_path / "x.npz"
    file.touch()
    with pytest.raises(UnknownNameError, match=f"write `npz:{file}`"):
        load_data(str(file))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "digits"])
def test_a_kind_without_its_path_shows_an_example(kind: str) -> None:
    with pytest.raises(DataError, match=f"needs a path, for example `{kind}:path/to/"):
        load_data(kind)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "digits"])
def test_a_path_that_does_not_exist_is_said_so(kind: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'.*nowhere' does not exist\. Check the path"):
        load_data(f"{kind}:{tmp_path / 'nowhere'}")


@pytest.mark.parametrize("name", ["run_12:30:00", "npz:x", "folder:", "a=b,c"])
def test_a_folder_may_be_called_anything(make_folder: Callable[..., Path], name: str) -> None:
    root = make_folder({"a": 4, "b": 4})
    data = load_data(f"folder:{root.rename(root.with_name(name))}")
    assert data.name == name and data.classes == ("a", "b")


def test_digits_take_no_path() -> None:
    with pytest.raises(DataError, match="built in and takes no path, but got 'here'"):
        load_data("digits:here")


def test_what_the_system_refuses_is_passed_on(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        load_data(f"npz:{tmp_path}")


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, float("nan")])
def test_a_share_outside_0_and_1_is_refused(share: float) -> None:
    with pytest.raises(DataError, match=r"validation_share is .* lies between 0 and 1"):
        load_data("digits", validation_share=share)
    with pytest.raises(DataError, match=r"test_share is .* lies between 0 and 1"):
        load_data("digits", test_share=share)


def test_one_class_is_not_enough(make_npz: Callable[..., Path]) -> None:
    path = make_npz(images=np.zeros((9, 4, 4), np.uint8), labels=np.full(9, 3))
    with pytest.raises(DataError, match=r"only one class, '3', so there is nothing to tell apart"):
        load_data(f"npz:{path}")


def test_a_class_needs_an_image_for_each_split(make_npz: Callable[..., Path]) -> None:
    labels = np.repeat([0, 1, 2], [9, 2, 3])
    path = make_npz(images=np.zeros((14, 4, 4), np.uint8), labels=labels)
    with pytest.raises(
        DataError, match=r"in 1 of 3 classes: '1' 2\. .* training, validation, test"
    ):
        load_data(f"npz:{path}")


def test_many_small_classes_are_listed_in_part(make_npz: Callable[..., Path]) -> None:
    path = make_npz(images=np.zeros((7, 4, 4), np.uint8), labels=np.arange(7))
    with pytest.raises(DataError, match=r"in 7 of 7 classes: .*'4' 1 and 2 more\."):
        load_data(f"npz:{path}")


@pytest.mark.parametrize(
    ("spec", "options", "word"),
    [
        ("digits", ReadOptions(fit="squash"), "--fit is for folder: data"),
        ("npz:x.npz", ReadOptions(splits={"train": "a"}), "--splits is for folder: data"),
        ("npz:x.npz", ReadOptions(skip_unreadable=True), "--skip-unreadable is for folder: data"),
        ("folder:x", ReadOptions(array_layout="NCHW"), "--layout-of-arrays is for npz: data"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(
    spec: str, options: ReadOptions, word: str
) -> None:
    with pytest.raises(SettingsError, match=word):
        load_data(spec, options=options)


def test_the_usual_options_do_not_change_the_id(digits: Dataset) -> None:
    assert load_data("digits", options=ReadOptions()).id == digits.id
