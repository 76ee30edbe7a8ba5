"""A folder of images, a sub-folder per class; optionally `train/`, `val/` and `test/` above them.

    flowers/rose/1.jpg            flowers/train/rose/1.jpg
    flowers/tulip/2.png           flowers/test/rose/7.jpg

Images may differ in size and mode. They are turned upright (EXIF), transparency is laid on white,
and all are scaled and centre-cropped to one square. They are grey if every one of them is.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from nas.data.images import Images, Source
from nas.errors import DataError

EXTENSIONS = frozenset(
    {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm"}
)
SPLIT_NAMES = {
    "train": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}
LARGEST_SIDE = 224
MEMORY_LIMIT = 4 * 2**30
"""Bytes that all images together may take; the common side is made small enough for it."""

_GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N"})
# What Pillow's decoders raise on damaged files; MemoryError is not the file's fault.
_UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    IndexError,
    EOFError,
    struct.error,
    Image.DecompressionBombError,
)
_EXPECTED = "Expected one folder per class, such as {folder}/cat/1.png and {folder}/dog/1.png."


@dataclass(frozen=True)
class _Header:
    """What an image file says of itself before it is decoded."""

    width: int
    height: int
    mode: str


@dataclass(frozen=True)
class _Failure:
    """A file that is no image, and why."""

    path: Path
    reason: str


def read(folder: Path, memory_limit: int = MEMORY_LIMIT) -> Source:
    """The images of a folder at one common size that fits in memory.

    Raises:
        DataError: the folder is empty, its splits disagree on the classes, or files
            are not images.
    """
    if not folder.is_dir():
        raise DataError(f"'{folder}' is not a folder. {_EXPECTED.format(folder=folder)}")
    splits = {name: _files_of_classes(root) for name, root in _find_splits(folder).items()}
    classes = tuple(splits["train"])
    _check_same_classes(folder, splits)
    paths = [path for files in splits.values() for group in files.values() for path in group]
    pixels, notes = _decode(paths, memory_limit)
    images, start = {}, 0
    for name, files in splits.items():
        counts = [len(group) for group in files.values()]
        labels = np.repeat(np.arange(len(classes), dtype=np.int64), counts)
        images[name] = Images(pixels[start : start + len(labels)].copy(), labels)
        start += len(labels)
    notes = (*notes, *_describe_ignored(folder))
    return Source(classes, images["train"], images.get("validation"), images.get("test"), notes)


def _find_splits(folder: Path) -> dict[str, Path]:
    """Where each split's class folders are; the folder itself if it is not divided."""
    found = _folders(folder)
    divided = any(path.name == "train" and _folders(path) for path in found)
    names = {path.name for path in found}
    if not divided:
        if names and names <= set(SPLIT_NAMES):
            raise DataError(
                f"Folder '{folder}' has {', '.join(sorted(names))} but no class folders in "
                f"train/. {_EXPECTED.format(folder=folder / 'train')}"
            )
        return {"train": folder}
    splits: dict[str, Path] = {}
    for path in found:
        name = SPLIT_NAMES.get(path.name)
        if name is None:
            raise DataError(
                f"Folder '{folder}' has train/ with classes inside, and beside it '{path.name}', "
                "which is none of train, val, test. Move it away."
            )
        if name in splits:
            raise DataError(
                f"Folder '{folder}' has both '{splits[name].name}' and '{path.name}' for the "
                f"{name} split. Keep one."
            )
        splits[name] = path
    return splits


def _folders(folder: Path) -> list[Path]:
    return sorted(
        path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")
    )


def _files_of_classes(root: Path) -> dict[str, list[Path]]:
    """Image files of each class folder, in the order of their names."""
    folders = _folders(root)
    if not folders:
        loose = sum(path.suffix.lower() in EXTENSIONS for path in root.iterdir())
        found = f"{loose} images but no" if loose else "no"
        raise DataError(f"Folder '{root}' has {found} folders. {_EXPECTED.format(folder=root)}")
    files = {path.name: _image_files(path) for path in folders}
    empty = [name for name, paths in files.items() if not paths]
    if empty:
        raise DataError(
            f"Folder '{root}' has classes without an image: {_list(empty)}. Add images "
            f"({', '.join(sorted(EXTENSIONS))}) or remove these folders."
        )
    return files


def _image_files(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in EXTENSIONS and not path.name.startswith(".") and path.is_file()
    )


def _check_same_classes(folder: Path, splits: dict[str, dict[str, list[Path]]]) -> None:
    classes = set(splits["train"])
    for name, files in splits.items():
        missing, extra = sorted(classes - set(files)), sorted(set(files) - classes)
        if missing or extra:
            parts = [f"lacks {_list(missing)}"] if missing else []
            parts += [f"has {_list(extra)}, which train lacks"] if extra else []
            raise DataError(
                f"The {name} split of '{folder}' has other classes than train: it "
                f"{' and '.join(parts)}. Every split needs the same class folders."
            )


def _decode(paths: list[Path], memory_limit: int) -> tuple[npt.NDArray[np.uint8], tuple[str, ...]]:
    """All images at one size, (N, side, side, C), and what was done to them."""
    with ThreadPoolExecutor() as pool:  # Pillow decodes outside the interpreter's lock
        results = list(pool.map(_read_header, paths))
        headers = [result for result in results if isinstance(result, _Header)]
        mode = "L" if all(header.mode in _GREY_MODES for header in headers) else "RGB"
        channels = len(mode)
        side = _common_side(headers, channels, memory_limit) if headers else 1
        pixels = np.empty((len(paths), side, side, channels), dtype=np.uint8)

        def fill(position: int) -> _Failure | None:
            result = results[position]
            if isinstance(result, _Failure):
                return result
            return _read_into(pixels[position], paths[position], mode)

        failures = [failure for failure in pool.map(fill, range(len(paths))) if failure]
    if failures:
        raise _corrupt(failures, len(paths))
    return pixels, _describe(headers, side)


def _read_header(path: Path) -> _Header | _Failure:
    try:
        with Image.open(path) as image:
            return _Header(image.width, image.height, image.mode)
    except _UNREADABLE as error:
        return _Failure(path, _reason(error))


def _read_into(pixels: npt.NDArray[np.uint8], path: Path, mode: str) -> _Failure | None:
    """Decodes a file into its place in the array."""
    side = len(pixels)
    try:
        with Image.open(path) as image:
            image.draft(mode, (side, side))  # lets a JPEG decode at a fraction of its size
            upright = ImageOps.exif_transpose(image)
            square = ImageOps.fit(_flatten(upright, mode), (side, side), Image.Resampling.BICUBIC)
            pixels[...] = np.asarray(square).reshape(pixels.shape)
    except _UNREADABLE as error:
        return _Failure(path, _reason(error))
    return None


def _flatten(image: Image.Image, mode: str) -> Image.Image:
    """The image as 8-bit grey or RGB; 16 bits lose the lower 8, transparency turns white."""
    if image.mode.startswith("I"):
        levels = np.asarray(image).astype(np.int64) >> 8
        return Image.fromarray(levels.clip(0, 255).astype(np.uint8)).convert(mode)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert(mode)
    return image.convert(mode)


def _common_side(headers: Sequence[_Header], channels: int, memory_limit: int) -> int:
    """The side of the square that all images are brought to.

    Kept where all are square and equal; else the median of the shorter sides, to the nearest 8.
    """
    sizes = {(header.width, header.height) for header in headers}
    shorter = [min(header.width, header.height) for header in headers]
    limit = min(LARGEST_SIDE, int((memory_limit / (len(headers) * channels)) ** 0.5))
    if len(sizes) == 1 and len(set(*sizes)) == 1 and shorter[0] <= limit:
        return shorter[0]
    return max(8, 8 * min(round(float(np.median(shorter)) / 8), limit // 8))


def _describe(headers: Sequence[_Header], side: int) -> tuple[str, ...]:
    sizes = sorted({(header.width, header.height) for header in headers})
    if sizes == [(side, side)]:
        return ()
    (w, h), (width, height) = sizes[0], sizes[-1]
    found = (
        f"{w}x{h}" if len(sizes) == 1 else f"{len(sizes)} sizes from {w}x{h} to {width}x{height}"
    )
    return (f"images of {found} were scaled and centre-cropped to {side}x{side}",)


def _describe_ignored(folder: Path) -> tuple[str, ...]:
    others = sorted(
        {
            path.suffix.lower() or path.name
            for path in folder.rglob("*")
            if path.is_file() and not path.name.startswith(".")
        }
        - EXTENSIONS
    )
    return (f"files not read as images: {_list(others)}",) if others else ()


def _corrupt(failures: Sequence[_Failure], total: int) -> DataError:
    lines = [f"  {failure.path}: {failure.reason}" for failure in failures[:5]]
    if len(failures) > 5:
        lines.append(f"  and {len(failures) - 5} more")
    return DataError(
        f"{len(failures)} of {total} image files cannot be read. Repair or remove them:\n"
        + "\n".join(lines)
    )


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not an image in a known format"
    return str(error) or type(error).__name__


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(f"'{name}'" for name in names[:5]) + more
