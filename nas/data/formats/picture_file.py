"""One image file: what it says of itself, and its picture in 8 bits per channel.

Transparency is laid on white. What Pillow raises on damaged files becomes a `Failure`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from nas.data.images import EIGHT_BITS
from nas.errors import DataError
from nas.errors import reason as plain_reason

DEEP_GREY = ("I", "F")
"""How the modes of images with more than 8 bits begin."""
GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "F", "I;16", "I;16B", "I;16L", "I;16N"})
# What Pillow's decoders raise on damaged files; MemoryError is not the file's fault.
UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    IndexError,
    EOFError,
    struct.error,
    Image.DecompressionBombError,
)
_DRAFT = 3
"""JPEGs are decoded at this many times the side needed or more: the pixels are then as if decoded
whole, but for one level."""


@dataclass(frozen=True)
class Header:
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
class Failure:
    """A file that cannot be read, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Levels:
    """The range that becomes 0 ... 255 in images of more than 8 bits: low ... low + size."""

    low: float = 0.0
    size: float = 256.0

    def to_bytes(self, levels: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
        """Scale levels; equal levels of all images give equal bytes."""
        scaled = np.floor((levels - self.low) * (256.0 / self.size))
        return np.clip(scaled, 0, 255).astype(np.uint8)


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
        levels: Of files with more than 8 bits: the least level, and the range made 0 to 255.
        side: Of the square that it will become, which saves time with a large JPEG.

    Raises:
        DataError: the file cannot be read, or images have other channels.
    """
    if channels not in (1, 3):
        raise DataError(f"Image files have 1 or 3 channels, but {channels} are needed.")
    try:
        return read_picture(path, side, "L" if channels == 1 else "RGB", Levels(*levels))
    except UNREADABLE as error:
        raise DataError(f"'{path}' cannot be read: {reason(error)}.") from error


def read_header(path: Path) -> Header | Failure:
    """What a file says of itself; of one with more than 8 bits the levels are read as well."""
    if path.is_symlink() and not path.exists():
        return Failure(path, "a link to a file that does not exist")
    if not path.is_file():
        return Failure(path, "not a file")
    try:
        with Image.open(path) as image:
            width, height = image.size
            deep_colour = any(";16" in str(tile[3]) for tile in image.tile) and not (
                image.mode.startswith(DEEP_GREY)
            )
            frames = _has_frames(image)
            if not image.mode.startswith(DEEP_GREY):
                return Header(width, height, image.mode, deep_colour, frames=frames)
            levels = np.asarray(image)
            low, high = float(levels.min()), float(levels.max())
            if not np.isfinite([low, high]).all():
                return Failure(path, "it holds NaN or infinite values")
            return Header(width, height, image.mode, deep_colour, low, high, frames)
    except UNREADABLE as error:
        return Failure(path, reason(error))


def read_picture(path: Path, side: int | None, mode: str, levels: Levels) -> Image.Image:
    """Decode a file: upright, 8-bit grey or RGB."""
    with Image.open(path) as image:
        return _flatten(_upright(image, side), mode, levels)


def reason(error: Exception) -> str:
    """Why a file cannot be read, in words."""
    if isinstance(error, UnidentifiedImageError):
        return "not an image in a known format"
    return plain_reason(error) or type(error).__name__


def _has_frames(image: Image.Image) -> bool:
    """Whether there are further images in the file; a camera's previews do not count."""
    several = image.format != "MPO" and bool(getattr(image, "is_animated", False))
    if several:
        image.seek(0)
    return several


def _upright(image: Image.Image, side: int | None) -> Image.Image:
    """The image turned as its camera was held; a large JPEG at a fraction of its size."""
    if side is not None:
        image.draft(None, (_DRAFT * side, _DRAFT * side))
    return ImageOps.exif_transpose(image)


def _flatten(image: Image.Image, mode: str, levels: Levels) -> Image.Image:
    """The image as 8-bit grey or RGB."""
    if image.mode.startswith(DEEP_GREY):
        values = np.asarray(image).astype(np.float64)
        return Image.fromarray(levels.to_bytes(values)).convert(mode)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert(mode)
    return image.convert(mode)
