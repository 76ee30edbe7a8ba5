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
from nas.data.formats.pictures import decode
from nas.errors import DataError
from nas.reading import ReadOptions

MakeFolder = Callable[..., Path]


def _save(path: Path, image: Image.Image, **options: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)


def test_classes_are_the_folders_in_order(make_folder: MakeFolder) -> None:
    data = load_data(f"folder:{make_folder({'dog': 10, 'cat': 20})}")
    assert data.classes == ("cat", "dog") and data.name == "images"
    assert data.class_counts == (14, 7)
    assert (data.shape.channels, data.native_size) == (3, (12, 12))


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
    files = sorted(make_folder({"a": 3, "b": 3}, size=(32, 32)).rglob("*.png"))
    source = decode(files, ReadOptions(), memory_limit=6 * 3 * 20 * 20)
    assert source.pixels.shape == (6, 16, 16, 3)
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
    assert source.notes == ("files not read as images: 1 '.txt'",)


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
    with pytest.raises(DataError, match=r"classes without an image: 'c'\. Add images \(\.apng, "):
        read(root)


def test_test_without_train_is_refused(make_folder: MakeFolder) -> None:
    with pytest.raises(DataError, match=r"has 'test', 'val', which look like splits, but no"):
        read(make_folder({"test/a": 2, "val/a": 2}))


def test_classes_beside_train_are_refused(make_folder: MakeFolder) -> None:
    with pytest.raises(DataError, match=r"beside them 'extra', which is none of train, tr"):
        read(make_folder({"train/a": 2, "train/b": 2, "extra": 1}))


def test_two_validation_splits_are_refused(make_folder: MakeFolder) -> None:
    with pytest.raises(DataError, match=r"has 'val', 'valid' for the validation split"):
        read(make_folder({"train/a": 2, "val/a": 1, "valid/a": 1}))


def test_splits_with_other_classes_are_refused(make_folder: MakeFolder) -> None:
    root = make_folder({"train/a": 2, "train/b": 2, "test/a": 1, "test/c": 1})
    with pytest.raises(DataError, match=r"The test split .* has 'c', which train lacks"):
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
    assert lines[0].startswith("7 of 11 image files cannot be read. Repair or remove them, or lea")
    assert "0.png: " in lines[1] and lines[2].endswith("1.png: not an image in a known format")
    assert len(lines) == 8


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


def test_split_folders_are_known_in_any_case(make_folder: MakeFolder) -> None:
    root = make_folder({"Train/cat": 3, "Train/dog": 3, "TEST/cat": 1, "TEST/dog": 2})
    source = read(root)
    assert source.classes == ("cat", "dog") and source.validation is None
    assert source.test is not None and len(source.test) == 3


def test_splits_below_the_classes_are_read(make_folder: MakeFolder) -> None:
    root = make_folder({"cat/train": 3, "cat/test": 1, "dog/train": 2, "dog/test": 2})
    source = read(root)
    assert source.classes == ("cat", "dog") and len(source.train) == 5
    assert source.test is not None
    np.testing.assert_array_equal(source.test.labels, [0, 1, 1])


@pytest.mark.parametrize(
    "folders",
    [
        {"Train": 3, "Test": 3},
        {"seg_train/cat": 3, "seg_train/dog": 3, "seg_test/cat": 1, "seg_test/dog": 1},
        {"trainSet/cat": 3, "testSet/cat": 1},
        {"cat": 3, "dog": 3, "test/cat": 1, "test/dog": 1},
    ],
)
def test_what_resembles_splits_is_never_read_as_classes(
    make_folder: MakeFolder, folders: dict[str, int]
) -> None:
    root = make_folder(folders)
    with pytest.raises(DataError, match=r"look like splits.*--splits train="):
        read(root)
    assert len(read(root, ReadOptions(splits={"train": "."})).classes) >= 2


def test_splits_can_be_named(make_folder: MakeFolder) -> None:
    root = make_folder({"first/cat": 3, "first/dog": 3, "second/dog": 2})
    source = read(root, ReadOptions(splits={"validation": "second", "train": "first"}))
    assert source.validation is not None and len(source.train) == 6
    np.testing.assert_array_equal(source.validation.labels, [1, 1])
    with pytest.raises(DataError, match="third', named as a split, is not a folder"):
        read(root, ReadOptions(splits={"train": "third"}))


def test_a_validation_split_may_lack_classes(make_folder: MakeFolder) -> None:
    root = make_folder({"train/a": 4, "train/b": 4, "val/b": 1})
    data = load_data(f"folder:{root}")
    np.testing.assert_array_equal(data.validation.labels, [1])
    assert "validation has no image of 1 classes, such as 'a'" in data.notes


def test_deep_images_are_scaled_by_the_bits_they_use(make_folder: MakeFolder) -> None:
    root = make_folder({}, mode="L")
    ramp = np.linspace(0, 4095, 256).round().astype(np.uint16).reshape(16, 16)
    for name, image in (("a", ramp), ("b", ramp[::-1].copy())):
        for number in range(2):
            _save(root / name / f"{number}.png", Image.fromarray(image))
    source = read(root)
    assert len(np.unique(source.train.pixels)) == 256
    assert "levels from 0 to 4095: 0 to 4096 was scaled to 8 bits" in source.notes[0]


def test_floating_point_images_keep_their_levels(make_folder: MakeFolder) -> None:
    root = make_folder({}, mode="L")
    for name in ("a", "b"):
        levels = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
        _save(root / name / "0.tif", Image.fromarray(levels))
    assert len(np.unique(read(root).train.pixels)) == 64


def test_copies_in_hidden_folders_are_left_out_and_counted(make_folder: MakeFolder) -> None:
    root = make_folder({"a": 3, "b": 3, "a/.ipynb_checkpoints": 2})
    source = read(root)
    assert len(source.train) == 6
    assert source.notes == ("images in hidden folders, left out: 2 '.ipynb_checkpoints'",)


def test_images_beside_the_classes_are_counted(make_folder: MakeFolder) -> None:
    root = make_folder({"a": 3, "b": 3})
    _save(root / "loose.png", Image.new("RGB", (8, 8)))
    assert read(root).notes == ("1 images lie beside the class folders, left out: 'loose.png'",)


def test_links_to_nowhere_are_errors_or_left_out_and_named(make_folder: MakeFolder) -> None:
    root = make_folder({"a": 4, "b": 4})
    (root / "a" / "gone.png").symlink_to(root / "nowhere.png")
    with pytest.raises(DataError, match=r"1 of 9 .*\n.*gone.png: a link to a file that does not"):
        read(root)
    source = read(root, ReadOptions(skip_unreadable=True))
    assert source.train.labels.tolist() == [0] * 4 + [1] * 4
    assert "1 of 9 files cannot be read, left out" in source.notes[0]


def test_linked_folders_are_followed_once(make_folder: MakeFolder) -> None:
    root = make_folder({"a": 2, "b": 2, "a/more": 3})
    (root / "a" / "circle").symlink_to(root / "a")
    assert len(read(root).train) == 7


def test_every_usual_ending_of_jpeg_is_read(make_folder: MakeFolder) -> None:
    root = make_folder({"a": 1, "b": 1})
    _save(root / "a" / "photo.jfif", Image.new("RGB", (12, 12)), format="JPEG")
    assert len(read(root).train) == 3


def test_copies_across_splits_are_counted(make_folder: MakeFolder) -> None:
    root = make_folder({"train/a": 4, "train/b": 4, "test/a": 2, "test/b": 2})
    shutil.copy(root / "train/a/1.png", root / "test/a/0.png")
    shutil.copy(root / "train/a/2.png", root / "train/b/2.png")
    notes = " | ".join(load_data(f"folder:{root}").notes)
    assert "1 of 4 test images are exact copies of" in notes
    assert "training images have an exact copy with another label" in notes


@pytest.mark.parametrize(("fit", "mean"), [("crop", 255), ("squash", 85), ("pad", 114)])
def test_a_person_chooses_what_becomes_of_long_images(
    make_folder: MakeFolder, fit: str, mean: int
) -> None:
    root = make_folder({})
    pixels = np.zeros((24, 72), np.uint8)
    pixels[:, 24:48] = 255
    for name in ("a", "b"):
        _save(root / name / "0.png", Image.fromarray(pixels))
    found = read(root, ReadOptions(fit=fit)).train.pixels  # type: ignore[arg-type]
    assert abs(float(found.mean()) - mean) < 4


def test_a_test_folder_of_files_that_are_no_images_is_refused(
    make_folder: Callable[..., Path],
) -> None:
    folder = make_folder({"train/cat": 4, "train/dog": 4})
    for name in ("cat", "dog"):
        (folder / "test" / name).mkdir(parents=True)
        (folder / "test" / name / "1.heic").write_bytes(b"a photograph")
    with pytest.raises(DataError, match="The test split has no image that could be read"):
        load_data(f"folder:{folder}")
