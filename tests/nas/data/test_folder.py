"""Folders of images."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas.data import load_data
from nas.data.formats.folder import read
from nas.errors import DataError

MakeFolder = Callable[..., Path]


def _save(path: Path, image: Image.Image, **options: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)


def test_classes_are_the_folders_in_order(make_folder: MakeFolder) -> None:
    data = load_data(f"folder:{make_folder({'dog': 10, 'cat': 20})}")
    assert data.classes == ("cat", "dog") and data.name == "images"
    assert data.class_counts == (14, 7)
    assert (data.in_channels, data.native_size) == (3, (12, 12))


@pytest.mark.parametrize(
    ("mode", "channels"), [("1", 1), ("L", 1), ("LA", 1), ("RGB", 3), ("RGBA", 3), ("P", 3)]
)
def test_every_mode_of_image_is_read(make_folder: MakeFolder, mode: str, channels: int) -> None:
    source = read(make_folder({"a": 3, "b": 3}, mode=mode))
    assert source.train.pixels.shape == (6, 12, 12, channels)
    assert source.train.pixels.std() > 0


def test_pixels_of_equal_squares_are_kept_to_the_bit(make_folder: MakeFolder) -> None:
    root = make_folder({"a": 3, "b": 3})
    source = read(root)
    expected = np.asarray(Image.open(root / "b" / "1.png"))
    np.testing.assert_array_equal(source.train.pixels[4], expected)
    assert source.notes == ()


def test_grey_among_colour_becomes_rgb(make_folder: MakeFolder) -> None:
    make_folder({"a": 3}, mode="L")
    source = read(make_folder({"b": 3}, mode="RGB"))
    grey = source.train.pixels[0]
    assert source.train.channels == 3
    np.testing.assert_array_equal(grey[..., 0], grey[..., 2])


def test_16_bit_grey_keeps_its_upper_byte(make_folder: MakeFolder) -> None:
    root = make_folder({"b": 3}, mode="L")
    _save(root / "a" / "deep.png", Image.fromarray(np.full((12, 12), 0x7FAB, np.uint16)))
    source = read(root)
    assert source.train.channels == 1
    assert (source.train.pixels[0] == 0x7F).all()


def test_transparency_turns_white(make_folder: MakeFolder) -> None:
    root = make_folder({"b": 3})
    _save(root / "a" / "clear.png", Image.new("RGBA", (12, 12), (0, 0, 0, 0)))
    assert (read(root).train.pixels[0] == 255).all()


def test_photographs_are_turned_upright(make_folder: MakeFolder) -> None:
    root = make_folder({"b": 3})
    pixels = np.zeros((12, 12, 3), np.uint8)
    pixels[:, :6] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown a quarter turn clockwise: left becomes up
    _save(root / "a" / "photo.png", Image.fromarray(pixels), exif=exif)
    upright = read(root).train.pixels[0]
    assert upright[:6].min() == 255 and upright[6:].max() == 0


def test_sizes_are_brought_to_the_median_side_and_said_so(make_folder: MakeFolder) -> None:
    make_folder({"a": 4}, size=(40, 31))
    source = read(make_folder({"b": 3}, size=(20, 64)))
    assert source.train.size == (32, 32)
    assert source.notes == (
        "images of 2 sizes from 20x64 to 40x31 were scaled and centre-cropped to 32x32",
    )


def test_large_images_are_kept_to_224_pixels(make_folder: MakeFolder) -> None:
    assert read(make_folder({"a": 1, "b": 1}, size=(300, 300))).train.size == (224, 224)


def test_the_common_side_shrinks_to_fit_in_memory(make_folder: MakeFolder) -> None:
    source = read(make_folder({"a": 3, "b": 3}, size=(32, 32)), memory_limit=6 * 3 * 20 * 20)
    assert source.train.size == (16, 16)
    assert source.notes == ("images of 32x32 were scaled and centre-cropped to 16x16",)


def test_official_splits_are_used(make_folder: MakeFolder) -> None:
    root = make_folder(
        {"train/a": 4, "train/b": 3, "val/a": 2, "val/b": 1, "test/a": 1, "test/b": 2}
    )
    data = load_data(f"folder:{root}")
    assert [len(part) for part in (data.train, data.validation, data.open_test())] == [7, 3, 3]
    expected = np.asarray(Image.open(root / "test" / "b" / "1.png"))
    np.testing.assert_array_equal(data.open_test().pixels[2], expected)
    assert not any("held out" in note for note in data.notes)


def test_a_missing_validation_split_is_held_out_of_train(make_folder: MakeFolder) -> None:
    root = make_folder({"train/a": 10, "train/b": 10, "test/a": 2, "test/b": 2})
    data = load_data(f"folder:{root}")
    assert [len(part) for part in (data.train, data.validation, data.open_test())] == [16, 4, 4]
    assert "validation: 15% of the training images held out" in data.notes


def test_a_class_may_be_called_train(make_folder: MakeFolder) -> None:
    assert read(make_folder({"train": 3, "tram": 3})).classes == ("train", "tram")


def test_nested_images_belong_to_the_class_above(make_folder: MakeFolder) -> None:
    assert len(read(make_folder({"a/2024": 2, "a/2025": 2, "b": 1})).train) == 5


def test_other_and_hidden_files_are_left_out(make_folder: MakeFolder) -> None:
    root = make_folder({"a": 2, "b": 2})
    (root / "a" / "notes.txt").write_text("by hand")
    (root / "a" / "._0.png").write_bytes(b"not an image")
    (root / ".cache").mkdir()
    source = read(root)
    assert len(source.train) == 4
    assert source.notes == ("files not read as images: '.txt'",)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    path = tmp_path / "one.png"
    path.touch()
    with pytest.raises(DataError, match=r"is not a folder\. Expected one folder per class"):
        load_data(f"folder:{path}")


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has no folders\. Expected one folder per class"):
        read(tmp_path)


def test_images_without_class_folders_are_refused(tmp_path: Path) -> None:
    _save(tmp_path / "1.png", Image.new("L", (8, 8)))
    with pytest.raises(DataError, match=r"has 1 images but no folders"):
        read(tmp_path)


def test_a_class_without_images_is_refused(make_folder: MakeFolder) -> None:
    root = make_folder({"a": 2, "b": 2, "c": 0})
    with pytest.raises(DataError, match=r"classes without an image: 'c'\. Add images \(\.bmp, "):
        read(root)


def test_test_without_train_is_refused(make_folder: MakeFolder) -> None:
    with pytest.raises(DataError, match=r"has test, val but no class folders in train/"):
        read(make_folder({"test/a": 2, "val/a": 2}))


def test_classes_beside_train_are_refused(make_folder: MakeFolder) -> None:
    with pytest.raises(DataError, match=r"beside it 'extra', which is none of train, val, test"):
        read(make_folder({"train/a": 2, "train/b": 2, "extra": 1}))


def test_two_validation_splits_are_refused(make_folder: MakeFolder) -> None:
    with pytest.raises(DataError, match=r"both 'val' and 'valid' for the validation split"):
        read(make_folder({"train/a": 2, "val/a": 1, "valid/a": 1}))


def test_splits_with_other_classes_are_refused(make_folder: MakeFolder) -> None:
    root = make_folder({"train/a": 2, "train/b": 2, "test/a": 1, "test/c": 1})
    with pytest.raises(DataError, match=r"it lacks 'b' and has 'c', which train lacks"):
        read(root)


def test_corrupt_images_are_named_and_counted(make_folder: MakeFolder) -> None:
    root = make_folder({"a": 9, "b": 2})
    whole = (root / "a" / "0.png").read_bytes()
    (root / "a" / "0.png").write_bytes(whole[: len(whole) // 2])  # cut off
    (root / "a" / "1.png").write_bytes(b"")
    for number in range(2, 7):
        (root / "a" / f"{number}.png").write_bytes(b"GIF89a but not really")
    with pytest.raises(DataError) as caught:
        read(root)
    lines = str(caught.value).splitlines()
    assert lines[0] == "7 of 11 image files cannot be read. Repair or remove them:"
    assert "0.png: " in lines[1] and lines[2].endswith("1.png: not an image in a known format")
    assert len(lines) == 7 and lines[6] == "  and 2 more"


def test_nothing_but_corrupt_images_is_refused_too(make_folder: MakeFolder) -> None:
    root = make_folder({"a": 1, "b": 1})
    for path in root.rglob("*.png"):
        path.write_bytes(b"no image")
    with pytest.raises(DataError, match="2 of 2 image files cannot be read"):
        read(root)


def test_the_same_images_elsewhere_have_the_same_id(
    make_folder: MakeFolder, tmp_path: Path
) -> None:
    root = make_folder({"a": 4, "b": 4})
    copy = shutil.copytree(root, tmp_path / "copy")
    assert load_data(f"folder:{root}").id == load_data(f"folder:{copy}").id
    shutil.copy(copy / "a" / "0.png", copy / "a" / "1.png")
    assert load_data(f"folder:{root}").id != load_data(f"folder:{copy}").id
