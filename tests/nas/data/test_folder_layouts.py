"""Layouts that are nearly known are recognised or refused, and what is left out is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from nas.data import load_data
from nas.data.formats.folder import read
from nas.errors import DataError
from nas.reading import ReadOptions

MakeFolder = Callable[..., Path]


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (("fold1/cat", "fold1/dog", "fold2/cat", "fold2/dog"), "'fold1', 'fold2' .* 'cat', 'dog'"),
        (("red/cat", "red/dog", "blue/cat", "blue/dog", "new"), "hold the same folders"),
        (("day/train/a", "day/train/b", "night/train/a", "night/train/b"), "may be the classes"),
        (("cat/train", "cat/test", "dog"), "'cat' .* called like splits, and 'dog' has not"),
        (("cat/train", "cat/notes", "dog/train"), "'cat' .* called like splits beside others"),
        (("data/train/cat", "data/train/dog", "data/test/cat"), "give '.*data' instead"),
        (("data/cat", "data/dog"), "the single folder 'data', and that one 'cat', 'dog'"),
        (("Train/a", "Train/b", "Eval/a", "Eval/b"), "--splits train=Train,test=Eval"),
        (("train9/a", "train9/b", "val9/a", "val9/b"), "train=train9,validation=val9, or"),
        (("train/cat", "train/dog", "test"), "A split without labels is left out with --splits"),
    ],
)
def test_what_is_nearly_a_known_layout_is_refused(
    make_folder: MakeFolder, folders: tuple[str, ...], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read(make_folder(dict.fromkeys(folders, 2)))


def test_training_images_may_be_called_trainval(make_folder: MakeFolder) -> None:
    folders = ("trainval/cat", "trainval/dog", "test/cat", "test/dog")
    source = read(make_folder(dict.fromkeys(folders, 2)))
    assert source.classes == ("cat", "dog") and source.test is not None


def test_splits_may_be_named_below_other_folders(make_folder: MakeFolder) -> None:
    root = make_folder(dict.fromkeys(("day/cat", "day/dog", "night/cat", "night/dog"), 2))
    source = read(root, ReadOptions(splits={"train": "day", "test": "night"}))
    assert source.classes == ("cat", "dog") and source.test is not None and source.notes == ()


@pytest.mark.parametrize(
    ("counts", "splits", "left_out"),
    [
        ({"a/train": 2, "a/test": 1, "a": 3, "b/train": 2}, {}, 3),
        ({"train/a": 2, "train/b": 2, "train": 2, "val/a": 1, "val": 1}, {}, 3),
        ({"x/a": 2, "x/b": 2, "x": 1, "y/a": 1, "z/a": 3}, {"train": "x", "test": "y"}, 4),
    ],
)
def test_images_outside_the_class_folders_are_counted(
    make_folder: MakeFolder, counts: dict[str, int], splits: dict[str, str], left_out: int
) -> None:
    notes = read(make_folder(counts), ReadOptions(splits=splits)).notes
    assert [f"{left_out} images lie beside the class folders" in note for note in notes] == [True]


def test_hidden_images_are_counted_wherever_they_are(make_folder: MakeFolder) -> None:
    waste = {".trash": 3, "__MACOSX/a": 1, "a/@eaDir": 2, "lost+found": 0}
    root = make_folder({"a": 2, "b": 2, **waste})
    (root / "a" / "0.png").rename(root / "a" / ".0.png")
    assert read(root).notes == (
        "images in hidden folders, left out: 3 '.trash', 2 '@eaDir', 1 '__MACOSX'",
        "1 images are hidden files, left out: '.0.png'",
    )


def test_files_of_many_endings_are_counted_in_few_words(make_folder: MakeFolder) -> None:
    root = make_folder({"a": 2, "b": 2})
    for number in range(30):
        (root / "a" / f"scan{number}").write_bytes(b"x")
        (root / "b" / f"x.{number:03}").write_bytes(b"x")
    (note,) = read(root).notes
    assert "30 'no ending'" in note and note.endswith(", 21 others") and len(note) < 200


def test_a_class_that_is_a_link_to_nowhere_is_said(make_folder: MakeFolder) -> None:
    root = make_folder({"a": 2, "b": 2})
    (root / "c").symlink_to(root / "gone")
    assert read(root).notes == ("files not read as images: 1 'c (a link to nowhere)'",)


@pytest.mark.parametrize("ending", ["gif", "tif", "png", "webp"])
def test_further_images_in_one_file_are_said(make_folder: MakeFolder, ending: str) -> None:
    root = make_folder({"a": 2, "b": 2})
    frames = [Image.new("RGB", (12, 12), colour) for colour in ("red", "blue", "green")]
    file = root / "a" / f"several.{ending}"
    frames[0].save(file, save_all=True, append_images=frames[1:], lossless=True)
    source = read(root)
    assert source.notes == ("1 files hold several images each, of which the first is read",)
    np.testing.assert_array_equal(source.train.pixels[2, 0, 0], [255, 0, 0])


@pytest.mark.parametrize(
    ("ending", "kind"),
    [("apng", "PNG"), ("dib", "DIB"), ("pnm", "PPM"), ("j2k", "JPEG2000"), ("avif", "AVIF")],
)
def test_rarer_endings_are_read(make_folder: MakeFolder, ending: str, kind: str) -> None:
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow reads no AVIF")
    root = make_folder({"a": 1, "b": 1})
    Image.new("RGB", (12, 12)).save(root / "a" / f"x.{ending}", format=kind)
    assert len(read(root).train) == 3


def test_a_folder_that_is_called_like_an_image_is_no_image(make_folder: MakeFolder) -> None:
    assert len(read(make_folder({"a": 2, "b": 2, "a/x.png": 2})).train) == 6


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("cat", "Cat"), "'Cat' and 'cat' are classes of nearly the same name"),
        (("cat", "cat "), "'cat' and 'cat ' are classes of nearly the same name"),
        (("cat", "nan"), "class 'nan' is called like a missing label"),
        (("cat", "Unlabeled"), "class 'Unlabeled' is called like a missing label"),
        (("cat", "None"), "class 'None' is called like a missing label"),
    ],
)
def test_names_that_are_hardly_meant_are_said(
    make_folder: MakeFolder, names: tuple[str, ...], said: str
) -> None:
    assert said in load_data(f"folder:{make_folder(dict.fromkeys(names, 4))}").notes
