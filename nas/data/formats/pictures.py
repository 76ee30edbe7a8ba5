"""Image files as one array: turned upright, on one size, 8 bits per channel.

Grey if every file is, else RGB. Transparency is laid on white. Files of more than 8 bits are
scaled together, by the range of values that they really use: 12-bit images in 16-bit files keep
their 8 upper bits, not their 4.
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

from nas.data.formats.squares import CUBIC, margin_of, to_square
from nas.data.images import EIGHT_BITS
from nas.errors import DataError
from nas.reading import Fit, ReadOptions

EXTENSIONS = frozenset(
    {".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".jp2", ".j2k", ".jpx", ".jpf", ".gif"}
    | {".webp", ".avif", ".tif", ".tiff", ".bmp", ".dib", ".tga", ".qoi"}
    | {".ppm", ".pgm", ".pbm", ".pnm", ".pfm"}
)
LARGEST_SIDE = 224
MEMORY_LIMIT = 4 * 2**30
"""Bytes that all images together may take; the common side shrinks to keep within."""

_DEEP_GREY = ("I", "F")
"""How the modes of images with more than 8 bits begin."""
_GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "F", "I;16", "I;16B", "I;16L", "I;16N"})
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
_BIT_DEPTHS = (8, 10, 12, 14, 16, 32)
"""Of cameras and file formats."""
_DRAFT = 3
"""JPEGs are decoded at this many times the side needed or more: the pixels are then as if decoded
whole, but for one level."""
_DARK = 64
"""Deep colour images with no level above this were probably not filled to 16 bits."""


@dataclass(frozen=True)
class Decoded:
    """All images at one size, and what was done to them.

    Attributes:
        pixels: (N, side, side, C) uint8.
        read: (N,), False for files that could not be read.
        levels: Of files with more than 8 bits: the least level, and the range made 0 to 255.
    """

    pixels: npt.NDArray[np.uint8]
    read: npt.NDArray[np.bool_]
    notes: tuple[str, ...]
    levels: tuple[float, float]


@dataclass(frozen=True)
class _Header:
    """What an image file says of itself before it is decoded."""

    width: int
    height: int
    mode: str
    deep_colour: bool
    low: float = 0.0
    high: float = 255.0
    """Least and greatest level of an image with more than 8 bits."""
    frames: bool = False
    """Whether the file holds further images, such as an animation or pages."""


@dataclass(frozen=True)
class _Failure:
    """A file that cannot be read, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class _Levels:
    """The range that becomes 0 ... 255 in images of more than 8 bits: low ... low + size."""

    low: float = 0.0
    size: float = 256.0

    def to_bytes(self, levels: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
        """Scale levels; equal levels of all images give equal bytes."""
        scaled = np.floor((levels - self.low) * (256.0 / self.size))
        return np.clip(scaled, 0, 255).astype(np.uint8)


def decode(
    paths: Sequence[Path], options: ReadOptions, memory_limit: int = MEMORY_LIMIT
) -> Decoded:
    """Read image files to one size.

    Raises:
        DataError: files cannot be read, and the options do not say to leave them out; names all.
    """
    with ThreadPoolExecutor() as pool:  # Pillow decodes outside the interpreter's lock
        results = list(pool.map(_read_header, paths))
        headers = [result for result in results if isinstance(result, _Header)]
        if not headers:
            raise _corrupt([r for r in results if isinstance(r, _Failure)], len(paths))
        mode = "L" if all(header.mode in _GREY_MODES for header in headers) else "RGB"
        side = _common_side(headers, len(mode), memory_limit)
        levels, margin = _levels_of(headers), margin_of(options.normalisation, len(mode))
        pixels = np.empty((len(paths), side, side, len(mode)), dtype=np.uint8)

        def fill(position: int) -> _Failure | None:
            result = results[position]
            if isinstance(result, _Failure):
                return result
            return _read_into(pixels[position], paths[position], mode, options.fit, levels, margin)

        found = list(pool.map(fill, range(len(paths))))
    failures = [failure for failure in found if failure]
    if failures and not options.skip_unreadable:
        raise _corrupt(failures, len(paths))
    notes = [*_describe_sizes(headers, side, options.fit), *_describe_depth(headers, levels)]
    if frames := sum(header.frames for header in headers):
        notes.append(f"{frames} files hold several images each, of which the first is read")
    if failures:
        names = listed([str(failure.path) for failure in failures])
        notes.append(f"{len(failures)} of {len(paths)} files cannot be read, left out: {names}")
    dark = _describe_dark(headers, pixels)
    read = np.array([failure is None for failure in found])
    return Decoded(pixels, read, (*notes, *dark), (levels.low, levels.size))


def open_image(
    path: Path,
    channels: int,
    levels: tuple[float, float] = EIGHT_BITS,
    side: int | None = None,
) -> Image.Image:
    """One image file as a data set reads it, before it becomes square: upright, grey or RGB.

    Args:
        path: The file.
        channels: 1 for grey, 3 for RGB.
        levels: See `Decoded`.
        side: Of the square that it will become, which saves time with a large JPEG.

    Raises:
        DataError: the file cannot be read, or images have other channels.
    """
    if channels not in (1, 3):
        raise DataError(f"Image files have 1 or 3 channels, but {channels} are needed.")
    try:
        with Image.open(path) as image:
            upright = _upright(image, side)
            return _flatten(upright, "L" if channels == 1 else "RGB", _Levels(*levels))
    except _UNREADABLE as error:
        raise DataError(f"'{path}' cannot be read: {_reason(error)}.") from error


def listed(names: Sequence[str], most: int = 5) -> str:
    """The first names, quoted, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(f"'{name}'" for name in names[:most]) + more


def _read_header(path: Path) -> _Header | _Failure:
    if path.is_symlink() and not path.exists():
        return _Failure(path, "a link to a file that does not exist")
    if not path.is_file():
        return _Failure(path, "not a file")
    try:
        with Image.open(path) as image:
            width, height = image.size
            deep_colour = any(";16" in str(tile[3]) for tile in image.tile) and not (
                image.mode.startswith(_DEEP_GREY)
            )
            frames = _has_frames(image)
            if not image.mode.startswith(_DEEP_GREY):
                return _Header(width, height, image.mode, deep_colour, frames=frames)
            levels = np.asarray(image)
            low, high = float(levels.min()), float(levels.max())
            if not np.isfinite([low, high]).all():
                return _Failure(path, "it holds NaN or infinite values")
            return _Header(width, height, image.mode, deep_colour, low, high, frames)
    except _UNREADABLE as error:
        return _Failure(path, _reason(error))


def _has_frames(image: Image.Image) -> bool:
    """Whether there are further images in the file; a camera's previews do not count."""
    several = image.format != "MPO" and bool(getattr(image, "is_animated", False))
    if several:
        image.seek(0)
    return several


def _read_into(
    pixels: npt.NDArray[np.uint8],
    path: Path,
    mode: str,
    fit: Fit,
    levels: _Levels,
    margin: tuple[int, ...],
) -> _Failure | None:
    """Decode a file into its place in the array."""
    side = len(pixels)
    try:
        with Image.open(path) as image:
            flat = _flatten(_upright(image, side), mode, levels)
            square = to_square(flat, side, fit, CUBIC, margin)
            pixels[...] = np.asarray(square).reshape(pixels.shape)
    except _UNREADABLE as error:
        return _Failure(path, _reason(error))
    return None


def _upright(image: Image.Image, side: int | None) -> Image.Image:
    """The image turned as its camera was held; a large JPEG at a fraction of its size."""
    if side is not None:
        image.draft(None, (_DRAFT * side, _DRAFT * side))
    return ImageOps.exif_transpose(image)


def _flatten(image: Image.Image, mode: str, levels: _Levels) -> Image.Image:
    """The image as 8-bit grey or RGB."""
    if image.mode.startswith(_DEEP_GREY):
        values = np.asarray(image).astype(np.float64)
        return Image.fromarray(levels.to_bytes(values)).convert(mode)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert(mode)
    return image.convert(mode)


def _levels_of(headers: Sequence[_Header]) -> _Levels:
    """The range of all deep images; for whole levels that of the smallest usual bit depth."""
    deep = [header for header in headers if header.mode.startswith(_DEEP_GREY)]
    if not deep:
        return _Levels()
    low, high = min(header.low for header in deep), max(header.high for header in deep)
    if low < 0 or any(header.mode == "F" for header in deep):
        return _Levels(low, max(high - low, 1e-12))
    bits = next((bits for bits in _BIT_DEPTHS if high < 2**bits), 32)
    return _Levels(0.0, float(2**bits))


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


def _describe_sizes(headers: Sequence[_Header], side: int, fit: Fit) -> tuple[str, ...]:
    sizes = sorted({(header.width, header.height) for header in headers})
    if sizes == [(side, side)]:
        return ()
    (w, h), (width, height) = sizes[0], sizes[-1]
    found = (
        f"{w}x{h}" if len(sizes) == 1 else f"{len(sizes)} sizes from {w}x{h} to {width}x{height}"
    )
    done = {
        "crop": "scaled and centre-cropped",
        "squash": "squashed",
        "pad": "scaled and padded with grey",
    }
    return (f"images of {found} were {done[fit]} to {side}x{side}",)


def _describe_depth(headers: Sequence[_Header], levels: _Levels) -> tuple[str, ...]:
    deep = [header for header in headers if header.mode.startswith(_DEEP_GREY)]
    if not deep:
        return ()
    low, high = min(header.low for header in deep), max(header.high for header in deep)
    return (
        f"{len(deep)} images have more than 8 bits, with levels from {low:g} to {high:g}: "
        f"{levels.low:g} to {levels.low + levels.size:g} was scaled to 8 bits",
    )


def _describe_dark(headers: Sequence[_Header], pixels: npt.NDArray[np.uint8]) -> tuple[str, ...]:
    """Pillow reads the upper 8 bits of colour images with 16; say so, and when they are empty."""
    deep = sum(header.deep_colour for header in headers)
    if not deep:
        return ()
    note = f"{deep} colour images have 16 bits per channel: their upper 8 are read"
    if pixels.max() < _DARK:
        note += f", which hold no level above {pixels.max()}; scale them to 8 bits beforehand"
    return (note,)


def _corrupt(failures: Sequence[_Failure], total: int) -> DataError:
    lines = "\n".join(f"  {failure.path}: {failure.reason}" for failure in failures)
    return DataError(
        f"{len(failures)} of {total} image files cannot be read. Repair or remove them, or leave "
        f"them out with --skip-unreadable:\n{lines}"
    )


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not an image in a known format"
    return str(error) or type(error).__name__
