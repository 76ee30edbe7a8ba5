"""One NumPy archive of arrays: images of any number of channels, whole numbers or floats.

    images (N, H, W) or (N, H, W, C)      labels (N,) or (N, 1), whole numbers or names
    val_images, val_labels                optional, and the same for test_
    split (N,)                            or instead: train / val / test, or 0 / 1 / 2, per image
    classes (K,)                          optional names for the labels 0 ... K-1
    layout                                optional: NHWC or NCHW, where shapes do not tell

`train_images` (MedMNIST), `x_train` and `y_train` (Keras), `X` and `y` are read too. uint8 is a
picture; any other number type becomes float32 as it is. Archives that hold pickled objects are
refused.
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
import numpy.typing as npt

from nas.data.images import Images, IntArray, PixelArray, Source
from nas.errors import DataError
from nas.reading import ArrayLayout, ReadOptions

Array = npt.NDArray[Any]

_SPLITS = {"train": "train", "val": "validation", "validation": "validation", "test": "test"}
_NUMBERED = ("train", "validation", "test")
_PREFIXES = {"validation": "val_", "test": "test_"}
_OTHER_NAMES = {
    **{"X": "images", "x": "images", "y": "labels", "Y": "labels", "data": "images"},
    **{"train_images": "images", "train_labels": "labels", "targets": "labels"},
    **{"x_train": "images", "X_train": "images", "y_train": "labels"},
    **{"x_val": "val_images", "X_val": "val_images", "y_val": "val_labels"},
    **{"x_test": "test_images", "X_test": "test_images", "y_test": "test_labels"},
}
"""Names of the same arrays elsewhere."""
_KNOWN = {
    *("images", "labels", "split", "classes", "layout"),
    *("val_images", "val_labels", "test_images", "test_labels"),
}
_IGNORE = 255
"""The label that segmentation data give to pixels without a class."""
_RANGES_DIFFER = 10.0
"""Largest values of two splits that differ by more than this factor were scaled differently."""
_MOST_COLOURS = 4
_DARK = 16


def read(path: Path, options: ReadOptions | None = None) -> Source:
    """The arrays of an archive as images.

    Raises:
        DataError: the file is no archive, or its arrays are missing, disagree or hold NaN.
    """
    arrays, ignored = _load(path)
    pixels, labels = _find_splits(path, arrays, (options or ReadOptions()).array_layout)
    _check_same_form(path, pixels)
    _check_ranges(path, pixels)
    classes, encoded = _encode(path, labels, arrays.get("classes"))
    splits = {name: Images(pixels[name], encoded[name]) for name in pixels}
    notes = []
    if ignored:
        notes.append(f"arrays not used: {', '.join(ignored)}")
    if pixels["train"].dtype != np.uint8:
        low, high = pixels["train"].min(), pixels["train"].max()
        notes.append(
            f"pixels are not uint8: kept as float32 ({low:g} to {high:g}), normalised by the "
            "training images"
        )
    elif pixels["train"].max() < _DARK:
        notes.append(f"pixels are uint8 but none is above {pixels['train'].max()}: is that right?")
    return Source(
        classes, splits["train"], splits.get("validation"), splits.get("test"), tuple(notes)
    )


def _load(path: Path) -> tuple[dict[str, Array], list[str]]:
    """The arrays we know, and the names of those we do not."""
    with path.open("rb") as file:  # opened here, because np.load forgets to close what it refuses
        try:
            archive = np.load(file, allow_pickle=False)
        except (ValueError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(f"'{path}' is not an npz archive ({error}).") from error
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise DataError(f"'{path}' is one array, not an npz archive of `images` and `labels`.")
        names: dict[str, str] = {}
        for name in archive.files:
            known = _OTHER_NAMES.get(name, name)
            if known in _KNOWN and (known not in names or name == known):
                names[known] = name
        if not {"images", "labels"} & names.keys():
            shapes = ", ".join(f"'{name}' {_array(path, archive, name).shape}" for name in archive)
            raise DataError(
                f"'{path}' has no array of a known name; it holds {shapes or 'nothing'}. Name the "
                "pixels `images` and the labels `labels`."
            )
        arrays = {known: _array(path, archive, name) for known, name in names.items()}
        return arrays, sorted(set(archive.files) - set(names.values()))


def _array(path: Path, archive: Any, name: str) -> Array:
    try:
        array: Array = archive[name]
    except (ValueError, EOFError, OSError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(
            f"Array '{name}' of '{path}' cannot be read ({error}). Objects are refused, since "
            "reading them runs code from the file: save numbers or text."
        ) from error
    return array


def _find_splits(
    path: Path, arrays: dict[str, Array], layout: ArrayLayout | None
) -> tuple[dict[str, PixelArray], dict[str, Array]]:
    """Pixels and labels (still as written) of each split there is."""
    layout = layout or _layout_in(path, arrays)
    pixels, labels = {}, {}
    for split, start in {"train": "", **_PREFIXES}.items():
        names = (f"{start}images", f"{start}labels")
        present = [name for name in names if name in arrays]
        if split != "train" and not present:
            continue
        if len(present) < 2:
            missing = next(name for name in names if name not in arrays)
            found = ", ".join(sorted(arrays))
            raise DataError(f"'{path}' has no array '{missing}' (found: {found}).")
        pixels[split] = _as_pixels(path, names[0], arrays[names[0]], layout)
        labels[split] = _as_labels(path, names[1], arrays[names[1]])
        _check_length(path, names, pixels[split], labels[split])
    if "split" in arrays:
        return _divide(path, arrays["split"], pixels, labels)
    return pixels, labels


def _layout_in(path: Path, arrays: dict[str, Array]) -> ArrayLayout | None:
    """The order of axes that the archive itself names."""
    if "layout" not in arrays:
        return None
    named = str(arrays["layout"].reshape(-1)[0])
    for layout in get_args(ArrayLayout):
        if named.upper() == layout:
            return cast(ArrayLayout, layout)
    raise DataError(f"Array 'layout' of '{path}' says '{named}'; it can be NHWC or NCHW.")


def _channels_last(path: Path, name: str, array: Array, layout: ArrayLayout | None) -> Array:
    """The array as (N, H, W, C).

    Without a word on it, channels are last where height equals width, or where only the last axis
    is as short as colours are.

    Raises:
        DataError: the shape leaves it open.
    """
    _, first, second, third = array.shape
    told = layout
    if told is None and first == second != third:
        told = "NHWC"
    if told is None and third <= _MOST_COLOURS < first:
        told = "NHWC"
    if told is None:
        raise DataError(
            f"Array '{name}' of '{path}' has shape {array.shape}: channels may be its second axis "
            f"({first} channels, {second} x {third} pixels) or its last ({third} channels, "
            f"{first} x {second} pixels). Say which: --layout-of-arrays NCHW or NHWC, or an array "
            "`layout` in the file."
        )
    return array if told == "NHWC" else np.moveaxis(array, 1, -1)


def _check_ranges(path: Path, pixels: dict[str, PixelArray]) -> None:
    """Splits that were scaled differently look alike to nobody but a network."""
    widest = {name: float(np.abs(array).max()) for name, array in pixels.items()}
    for name, most in widest.items():
        small, large = sorted((most, widest["train"]))
        if pixels[name].dtype != np.uint8 and large > _RANGES_DIFFER * small:
            raise DataError(
                f"In '{path}', {name} images reach {most:g} but train images {widest['train']:g}. "
                "Scale all of them alike."
            )


def _as_pixels(path: Path, name: str, array: Array, layout: ArrayLayout | None) -> PixelArray:
    if array.ndim not in (3, 4) or 0 in array.shape:
        raise DataError(
            f"Array '{name}' of '{path}' has shape {array.shape}; expected (N, H, W) or "
            "(N, H, W, C), none of them 0."
        )
    if array.dtype.kind not in "biuf":
        raise DataError(f"Array '{name}' of '{path}' is {array.dtype}, not numbers.")
    array = array[..., None] if array.ndim == 3 else _channels_last(path, name, array, layout)
    if array.dtype == np.uint8:
        return array
    pixels = array.astype(np.float32)
    broken = int(np.count_nonzero(~np.isfinite(pixels).all(axis=(1, 2, 3))))
    if broken:
        raise DataError(
            f"Array '{name}' of '{path}' has NaN or infinite values in {broken} of {len(pixels)} "
            "images. Replace them or leave these images out."
        )
    return pixels


def _as_labels(path: Path, name: str, array: Array) -> Array:
    labels = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
    if labels.ndim != 1:
        raise DataError(
            f"Array '{name}' of '{path}' has shape {array.shape}; expected one label per "
            "image, (N,)."
        )
    if labels.dtype.kind not in "iuU":
        raise DataError(
            f"Array '{name}' of '{path}' is {labels.dtype}; labels are whole numbers or names."
        )
    return labels


def _check_length(path: Path, names: tuple[str, str], images: PixelArray, labels: Array) -> None:
    if len(images) != len(labels):
        raise DataError(
            f"In '{path}', '{names[0]}' has {len(images)} entries but '{names[1]}' {len(labels)}. "
            "They must be equally long."
        )


def _divide(
    path: Path, split: Array, pixels: dict[str, PixelArray], labels: dict[str, Array]
) -> tuple[dict[str, PixelArray], dict[str, Array]]:
    """Divides the one set of images by an array that names each image's split."""
    if len(pixels) > 1:
        raise DataError(
            f"'{path}' has both 'split' and val_ or test_ arrays. Keep one of the two."
        )
    if split.shape != labels["train"].shape:
        raise DataError(
            f"In '{path}', 'split' has shape {split.shape} for {len(labels['train'])} images. "
            "They must be equally long."
        )
    values, positions = np.unique(split, return_inverse=True)
    written = [str(value) for value in values]
    names = {**_SPLITS, **{str(number): name for number, name in enumerate(_NUMBERED)}}
    unknown = [value for value in written if value not in names]
    if unknown:
        raise DataError(
            f"Array 'split' of '{path}' holds '{unknown[0]}'; expected train, val, test or "
            "0, 1, 2."
        )
    if "train" not in {names[value] for value in written}:
        raise DataError(f"Array 'split' of '{path}' gives no image to train. Found: {written}.")
    split_names = np.array([names[value] for value in written])[positions]
    chosen = {name: split_names == name for name in _NUMBERED if (split_names == name).any()}
    return (
        {name: pixels["train"][mask] for name, mask in chosen.items()},
        {name: labels["train"][mask] for name, mask in chosen.items()},
    )


def _check_same_form(path: Path, pixels: dict[str, PixelArray]) -> None:
    expected = pixels["train"]
    for name, array in pixels.items():
        if array.shape[1:] != expected.shape[1:] or array.dtype != expected.dtype:
            raise DataError(
                f"In '{path}', {name} images are {array.dtype} {array.shape[1:]} but train images "
                f"are {expected.dtype} {expected.shape[1:]}. All must be alike."
            )


def _encode(
    path: Path, labels: dict[str, Array], names: Array | None
) -> tuple[tuple[str, ...], dict[str, IntArray]]:
    """Class names, and each split's labels as positions among them."""
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
    return classes, {
        split: np.searchsorted(known, array).astype(np.int64) for split, array in labels.items()
    }


def _check_no_ignored(path: Path, known: Array) -> None:
    """255 or -1 beside 0 ... K-1 marks images without a class."""
    if known.dtype.kind not in "iu" or len(known) < 4:
        return
    for label in (_IGNORE, -1):
        rest = known[known != label]
        if label in known and np.array_equal(rest, np.arange(len(rest))) and len(rest) != label:
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
