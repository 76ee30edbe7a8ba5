"""Pictures made square, at the very pixels where timm's transform makes them square.

    crop      scale the shorter side, cut out the centre
    squash    resize both sides
    pad       scale the longer side, lay the picture in the middle of a square

Source: timm.data.create_transform with crop_mode center, squash and border, and crop_pct 1.
"""

from __future__ import annotations

from PIL import Image

from nas.data.margins import place_of
from nas.reading import Fit

CUBIC, LINEAR = Image.Resampling.BICUBIC, Image.Resampling.BILINEAR
_LONGEST = 512
"""Of a picture whose longer side is more than this many shorter ones only the middle is scaled."""


def to_square(
    image: Image.Image,
    side: int,
    fit: Fit,
    resampling: Image.Resampling,
    margin: tuple[int, ...],
) -> Image.Image:
    """The picture as `side` x `side` pixels; margins have the colour `margin`."""
    if fit == "squash":
        return image.resize((side, side), resampling)
    if fit == "pad":
        return _padded(image, side, resampling, margin)
    return _cropped(image, side, resampling)


def _cropped(image: Image.Image, side: int, resampling: Image.Resampling) -> Image.Image:
    longest = _LONGEST * min(image.size)
    if max(image.size) > longest:
        image = _centre(image, (min(image.width, longest), min(image.height, longest)))
    shorter = min(image.size)
    width, height = (int(side * length / shorter) for length in image.size)
    return _centre(image.resize((width, height), resampling), (side, side))


def _centre(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The middle of a picture, rounded as torchvision rounds it."""
    left, top = (round((length - part) / 2) for length, part in zip(image.size, size, strict=True))
    return image.crop((left, top, left + size[0], top + size[1]))


def _padded(
    image: Image.Image, side: int, resampling: Image.Resampling, margin: tuple[int, ...]
) -> Image.Image:
    place = place_of(image.height, image.width, side)
    square = Image.new(image.mode, (side, side), margin)
    square.paste(image.resize((place.width, place.height), resampling), (place.left, place.top))
    return square
