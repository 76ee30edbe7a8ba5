"""Image files as one array: turned upright, on one size, 8 bits per channel.

Grey if every file is, else RGB. Transparency is laid on white. Files of more than 8 bits are
scaled together, by the range of values that they really use: 12-bit images in 16-bit files keep
their 8 upper bits, not their 4.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nas.data.formats.picture_file import (
    DEEP_GREY,
    GREY_MODES,
    UNREADABLE,
    Failure,
    Header,
    Levels,
    read_header,
    read_picture,
    reason,
)
from nas.data.formats.squares import CUBIC, to_square
from nas.data.images import MARGIN, IntArray
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

_BIT_DEPTHS = (8, 10, 12, 14, 16)
"""Of cameras and file formats; more bits are counted."""
_FEW, _NEARLY_ALL = 16, 0.999
"""Deep images are said to be poor if this share of their pixels lies within so few levels."""
_DARK = 64
"""Deep colour images with no level above this were probably not filled to 16 bits."""


@dataclass(frozen=True)
class Decoded:
    """All images at one size, and what was done to them.

    Attributes:
        pixels: (N, side, side, C) uint8.
        sizes: (N, 2) int64, height and width of the pictures within padded images; None if
            images were not padded.
        read: (N,), False for files that could not be read.
        levels: Of files with more than 8 bits: the least level, and the range made 0 to 255.
    """

    pixels: npt.NDArray[np.uint8]
    sizes: IntArray | None
    read: npt.NDArray[np.bool_]
    notes: tuple[str, ...]
    levels: tuple[float, float]


@dataclass(frozen=True)
class Form:
    """What images are brought to, where other images decide it.

    Attributes:
        side: Of the square, in pixels.
        channels: 1 for grey, 3 for RGB.
        levels: See `Decoded`.
    """

    side: int
    channels: int
    levels: tuple[float, float]


def decode(
    paths: Sequence[Path],
    options: ReadOptions,
    memory_limit: int = MEMORY_LIMIT,
    form: Form | None = None,
) -> Decoded:
    """Read image files to one size.

    Args:
        paths: The files.
        options: How they are read.
        memory_limit: Bytes that all images together may take.
        form: What they are brought to; None if the files themselves decide it.

    Raises:
        DataError: files cannot be read, and the options do not say to leave them out; names all.
    """
    with ThreadPoolExecutor() as pool:  # Pillow decodes outside the interpreter's lock
        results = list(pool.map(read_header, paths))
        headers = [result for result in results if isinstance(result, Header)]
        if not headers:
            raise _corrupt([r for r in results if isinstance(r, Failure)], len(paths))
        form = form or _form_of(headers, memory_limit)
        levels, mode = Levels(*form.levels), "L" if form.channels == 1 else "RGB"
        pixels = np.zeros((len(paths), form.side, form.side, form.channels), dtype=np.uint8)
        sizes = np.ones((len(paths), 2), dtype=np.int64)
        margin = (MARGIN,) * form.channels

        def fill(position: int) -> Failure | None:
            result = results[position]
            if isinstance(result, Failure):
                return result
            try:
                picture = read_picture(paths[position], form.side, mode, levels)
                square = to_square(picture, form.side, options.fit, CUBIC, margin)
            except UNREADABLE as error:
                return Failure(paths[position], reason(error))
            pixels[position] = np.asarray(square).reshape(pixels.shape[1:])
            sizes[position] = picture.height, picture.width
            return None

        found = list(pool.map(fill, range(len(paths))))
    failures = [failure for failure in found if failure]
    if failures and (not options.skip_unreadable or len(failures) == len(paths)):
        raise _corrupt(failures, len(paths))
    read = np.array([failure is None for failure in found])
    notes = (
        *_describe_sizes(headers, form.side, options.fit),
        *_describe_depth(headers, levels),
        *_describe_poor(results, pixels),
        *_describe_files(headers, failures, len(paths)),
        *_describe_dark(headers, pixels),
    )
    return Decoded(pixels, sizes if options.fit == "pad" else None, read, notes, form.levels)


def listed(names: Sequence[str], most: int = 5) -> str:
    """The first names, quoted, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(f"'{name}'" for name in names[:most]) + more


def _levels_of(headers: Sequence[Header]) -> Levels:
    """The range of all deep images; for whole levels that of the smallest usual bit depth."""
    deep = [header for header in headers if header.mode.startswith(DEEP_GREY)]
    if not deep:
        return Levels()
    low, high = min(header.low for header in deep), max(header.high for header in deep)
    if low < 0 or any(header.mode == "F" for header in deep):
        return Levels(low, max(high - low, 1e-12))
    bits = next((bits for bits in _BIT_DEPTHS if high < 2**bits), int(high).bit_length())
    return Levels(0.0, float(2**bits))


def _form_of(headers: Sequence[Header], memory_limit: int) -> Form:
    """Grey if every file is, else RGB; the levels of the deepest."""
    channels = 1 if all(header.mode in GREY_MODES for header in headers) else 3
    levels = _levels_of(headers)
    side = _common_side(headers, channels, memory_limit)
    return Form(side, channels, (levels.low, levels.size))


def _common_side(headers: Sequence[Header], channels: int, memory_limit: int) -> int:
    """The side of the square that all images are brought to.

    Kept where all are square and equal; else the median of the shorter sides, to the nearest 8.
    """
    sizes = {(header.width, header.height) for header in headers}
    shorter = [min(header.width, header.height) for header in headers]
    limit = min(LARGEST_SIDE, int((memory_limit / (len(headers) * channels)) ** 0.5))
    if len(sizes) == 1 and len(set(*sizes)) == 1 and shorter[0] <= limit:
        return shorter[0]
    return max(8, 8 * min(round(float(np.median(shorter)) / 8), limit // 8))


def _describe_sizes(headers: Sequence[Header], side: int, fit: Fit) -> tuple[str, ...]:
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


def _describe_depth(headers: Sequence[Header], levels: Levels) -> tuple[str, ...]:
    deep = [header for header in headers if header.mode.startswith(DEEP_GREY)]
    if not deep:
        return ()
    low, high = min(header.low for header in deep), max(header.high for header in deep)
    return (
        f"{len(deep)} images have more than 8 bits, with levels from {low:g} to {high:g}: "
        f"{levels.low:g} to {levels.low + levels.size:g} was scaled to 8 bits",
    )


def _describe_poor(
    results: Sequence[Header | Failure], pixels: npt.NDArray[np.uint8]
) -> Iterator[str]:
    """A dead pixel or a bright star can leave a few levels for all else in deep images."""
    counts = np.zeros(256, dtype=np.int64)
    for result, image in zip(results, pixels, strict=True):
        if isinstance(result, Header) and result.mode.startswith(DEEP_GREY):
            counts += np.bincount(image.ravel(), minlength=256)
    if not counts.any():
        return
    share = counts.cumsum() / counts.sum()
    rest = (1 - _NEARLY_ALL) / 2
    used = int(np.searchsorted(share, 1 - rest) - np.searchsorted(share, rest)) + 1
    if used < _FEW:
        yield (
            f"{_NEARLY_ALL:.1%} of their pixels lie within {used} of these 256 levels: a few much "
            "brighter or darker pixels decide the range. Clip those beforehand to keep the rest"
        )


def _describe_files(
    headers: Sequence[Header], failures: Sequence[Failure], total: int
) -> Iterator[str]:
    if frames := sum(header.frames for header in headers):
        yield f"{frames} files hold several images each, of which the first is read"
    if failures:
        names = listed([str(failure.path) for failure in failures])
        yield f"{len(failures)} of {total} files cannot be read, left out: {names}"


def _describe_dark(headers: Sequence[Header], pixels: npt.NDArray[np.uint8]) -> tuple[str, ...]:
    """Pillow reads the upper 8 bits of colour images with 16; say so, and when they are empty."""
    deep = sum(header.deep_colour for header in headers)
    if not deep:
        return ()
    note = f"{deep} colour images have 16 bits per channel: their upper 8 are read"
    if pixels.max() < _DARK:
        note += f", which hold no level above {pixels.max()}; scale them to 8 bits beforehand"
    return (note,)


def _corrupt(failures: Sequence[Failure], total: int) -> DataError:
    lines = "\n".join(f"  {failure.path}: {failure.reason}" for failure in failures)
    return DataError(
        f"{len(failures)} of {total} image files cannot be read. Repair or remove them, or leave "
        f"them out with --skip-unreadable:\n{lines}"
    )
