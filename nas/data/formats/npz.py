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

from nas.data.formats.npz_labels import as_labels, describe_labels, encode
from nas.data.images import Images, PixelArray, Source
from nas.errors import DataError
from nas.reading import ArrayLayout, ReadOptions

Array = npt.NDArray[Any]

_SPLITS = {
    **{"train": "train", "training": "train", "test": "test", "testing": "test"},
    **dict.fromkeys(("val", "valid", "validation", "dev"), "validation"),
}
_NUMBERED = ("train", "validation", "test")
_PREFIXES = {"validation": "val_", "test": "test_"}
_WORDS = {
    "images": ("images", "image", "x", "X", "data"),
    "labels": ("labels", "label", "y", "Y", "targets", "target"),
}
_STARTS = {
    **dict.fromkeys(("train", "training"), ""),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val_"),
    **dict.fromkeys(("test", "testing"), "test_"),
}
_OTHER_NAMES = {word: own for own, words in _WORDS.items() for word in words} | {
    name: start + own
    for own, words in _WORDS.items()
    for word in words
    for split, start in _STARTS.items()
    for name in (f"{split}_{word}", f"{word}_{split}")
}
"""Names of the same arrays elsewhere."""
_KNOWN = {
    *("images", "labels", "split", "classes", "layout"),
    *("val_images", "val_labels", "test_images", "test_labels"),
}
_RANGES_DIFFER = 10.0
"""Largest values of splits or images that differ by more were scaled differently."""
_FEWEST_LEVELS = 256
"""Of the range of values, that float32 has to tell apart."""
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
    notes = _describe_ranges(path, pixels)
    classes, encoded = encode(path, labels, arrays.get("classes"))
    splits = {name: Images(pixels[name], encoded[name]) for name in pixels}
    notes += describe_labels(classes)
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
            why = "it is a pickle, and reading one runs code" if "pickled" in str(error) else error
            raise DataError(
                f"'{path}' is not an npz archive ({why}). Save the arrays with "
                "numpy.savez(path, images=..., labels=...)."
            ) from error
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise DataError(f"'{path}' is one array, not an npz archive of `images` and `labels`.")
        names: dict[str, str] = {}
        for name in archive.files:
            known = _OTHER_NAMES.get(name, name)
            if known in _KNOWN and (known not in names or name == known):
                names[known] = name
        _check_names(path, archive, names)
        arrays = {known: _array(path, archive, name) for known, name in names.items()}
        return arrays, sorted(set(archive.files) - set(names.values()))


def _check_names(path: Path, archive: Any, names: dict[str, str]) -> None:
    """Pixels and labels are there for training, and both or neither for the other splits."""
    missing = []
    for start in ("", *_PREFIXES.values()):
        lacking = {start + "images", start + "labels"} - names.keys()
        if lacking and (len(lacking) == 1 or not start):
            missing += sorted(lacking)
    if missing:
        shapes = ", ".join(f"'{name}' {_array(path, archive, name).shape}" for name in archive)
        raise DataError(
            f"'{path}' has no array '{missing[0]}'; it holds {shapes or 'nothing'}. Name the "
            "pixels `images` and the labels `labels`, after `val_` or `test_` for these splits."
        )


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
        if names[0] not in arrays:
            continue
        labels[split] = as_labels(path, names[1], arrays[names[1]])
        pixels[split] = _as_pixels(path, names[0], arrays[names[0]], layout, len(labels[split]))
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

    Without a word on it, channels are last where height equals width and may not be colours
    themselves, or where only the last axis is as short as colours are.

    Raises:
        DataError: the shape leaves it open.
    """
    _, first, second, third = array.shape
    told = layout
    if told is None and first == second != third and first > _MOST_COLOURS:
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


def _describe_ranges(path: Path, pixels: dict[str, PixelArray]) -> list[str]:
    """Splits that were scaled differently look alike to nobody but a network.

    Raises:
        DataError: numbers of one split are more than `_RANGES_DIFFER` times as large.
    """
    notes, (low, high) = [], _range(pixels["train"])
    for name, array in pixels.items():
        least, most = _range(array)
        small, large = sorted((max(-least, most), max(-low, high)))
        said = f"{name} images have values from {least:g} to {most:g}, but train images "
        said += f"from {low:g} to {high:g}"
        if large > _RANGES_DIFFER * small and array.dtype != np.uint8:
            raise DataError(f"In '{path}', {said}. Scale all of them alike.")
        if large > _RANGES_DIFFER * small or (least < 0) != (low < 0):
            notes.append(f"{said}: were they scaled alike?")
        if array.dtype != np.uint8:
            notes += _describe_larger(name, array)
    return notes


def _describe_larger(name: str, array: PixelArray) -> list[str]:
    """A note on single images that were scaled differently, or hold a wrong value."""
    largest = np.abs(array).reshape(len(array), -1).max(axis=1)
    larger = int((largest > _RANGES_DIFFER * np.median(largest)).sum())
    if not larger:
        return []
    return [
        f"{larger} of {len(array)} {name} images have values more than {_RANGES_DIFFER:g} times "
        "as large as the median image: were they scaled alike?"
    ]


def _range(pixels: PixelArray) -> tuple[float, float]:
    return float(pixels.min()), float(pixels.max())


def _as_pixels(
    path: Path, name: str, array: Array, layout: ArrayLayout | None, count: int
) -> PixelArray:
    if array.ndim not in (3, 4) or 0 in array.shape:
        raise DataError(
            f"Array '{name}' of '{path}' has shape {array.shape}; expected (N, H, W) or "
            "(N, H, W, C), none of them 0."
        )
    if array.dtype.kind not in "biuf":
        raise DataError(f"Array '{name}' of '{path}' is {array.dtype}, not numbers.")
    if array.shape[-1] == count != len(array):
        raise DataError(
            f"Array '{name}' of '{path}' has shape {array.shape} for {count} labels: its last "
            "axis seems to number the images. Make it the first: numpy.moveaxis(array, -1, 0)."
        )
    array = array[..., None] if array.ndim == 3 else _channels_last(path, name, array, layout)
    if array.dtype == np.uint8:
        return array
    broken = int(np.count_nonzero(~np.isfinite(array).all(axis=(1, 2, 3))))
    if broken:
        raise DataError(
            f"Array '{name}' of '{path}' has NaN or infinite values in {broken} of {len(array)} "
            "images. Replace them or leave these images out."
        )
    if not _float32_holds(float(array.min()), float(array.max())):
        raise DataError(
            f"Array '{name}' of '{path}' has values from {array.min():.10g} to "
            f"{array.max():.10g}, which float32 cannot hold or tell apart. Subtract the least "
            "value and scale them."
        )
    return array.astype(np.float32)


def _float32_holds(low: float, high: float) -> bool:
    """Whether values of this range stay finite, and at least `_FEWEST_LEVELS` stay different."""
    largest = max(-low, high)
    if largest > float(np.finfo(np.float32).max):
        return False
    return low == high or high - low >= _FEWEST_LEVELS * np.spacing(np.float32(largest))


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
    written = [str(value).lower() for value in values]
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
