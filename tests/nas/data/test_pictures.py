"""Depth of pixels, and how pictures become square."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas.data.formats.folder import read
from nas.data.formats.squares import CUBIC, LINEAR, to_square
from nas.reading import Fit
from nas.timm_library import create_transform

MakeFolder = Callable[..., Path]


def _save(path: Path, image: Image.Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


@pytest.mark.parametrize(
    ("most", "upper"), [(1023, 1024), (4095, 4096), (16383, 16384), (100_000, 131_072)]
)
def test_bits_are_told_by_the_greatest_level_of_all_images(
    make_folder: MakeFolder, most: int, upper: int
) -> None:
    root = make_folder({}, mode="L")
    for name, level in (("a", most // 4), ("b", most)):
        _save(root / name / "0.tif", Image.fromarray(np.full((8, 8), level, np.int32)))
    source = read(root)
    assert f"0 to {upper:g} was scaled to 8 bits" in source.notes[0]
    first, last = source.train.pixels[:, 0, 0, 0].tolist()
    assert first == last // 4 and last == most * 256 // upper


@pytest.mark.parametrize("dead", [True, False])
def test_a_dead_pixel_that_leaves_few_levels_is_said(make_folder: MakeFolder, dead: bool) -> None:
    root = make_folder({}, mode="L")
    levels = np.linspace(0, 300, 64 * 64).round().astype(np.uint16).reshape(64, 64)
    for name in ("a", "b"):
        _save(root / name / "0.png", Image.fromarray(levels))
    levels[5, 5] = 65535 if dead else 300
    _save(root / "b" / "1.png", Image.fromarray(levels))
    poor = [note for note in read(root).notes if "decide the range" in note]
    assert [note.partition(" of these")[0] for note in poor] == (
        ["99.9% of their pixels lie within 2"] if dead else []
    )


def test_signed_levels_are_scaled_by_their_range(make_folder: MakeFolder) -> None:
    root = make_folder({}, mode="L")
    for name, level in (("a", -1000), ("b", 1000)):
        _save(root / name / "0.tif", Image.fromarray(np.full((8, 8), level, np.int32)))
    source = read(root)
    assert source.train.pixels[:, 0, 0, 0].tolist() == [0, 255]
    assert "levels from -1000 to 1000" in source.notes[0]


@pytest.mark.parametrize(("level", "dark"), [(0x0FFF, True), (0xFFFF, False)])
def test_colour_images_of_16_bits_are_said(
    make_folder: MakeFolder, level: int, dark: bool
) -> None:
    root = make_folder({"a": 1})
    for path in (root / "a" / "0.png", root / "b" / "0.png"):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(_png_of_16_bits(level))
    (note,) = read(root).notes
    assert note.startswith("2 colour images have 16 bits per channel: their upper 8 are read")
    assert ("scale them to 8 bits beforehand" in note) == dark


def _png_of_16_bits(level: int) -> bytes:
    """8 x 8 pixels of colour, which Pillow reads but does not write."""
    row = b"\0" + level.to_bytes(2, "big") * 3 * 8
    chunks = {
        b"IHDR": struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0),
        b"IDAT": zlib.compress(row * 8),
        b"IEND": b"",
    }
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks.items()
    )


@pytest.mark.parametrize("side", [16, 37])
@pytest.mark.parametrize(
    ("fit", "mode"), [("crop", "center"), ("squash", "squash"), ("pad", "border")]
)
@pytest.mark.parametrize(
    "size", [(96, 32), (32, 96), (1, 1), (40, 64), (133, 101), (64, 64), (31, 33), (3, 40)]
)
def test_pictures_become_square_as_timm_makes_them(
    size: tuple[int, int], fit: Fit, mode: str, side: int
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    for resampling, word in ((CUBIC, "bicubic"), (LINEAR, "bilinear")):
        ours = to_square(Image.fromarray(pixels), side, fit, resampling, (128, 128, 128))
        transform = create_transform(
            input_size=(3, side, side),
            interpolation=word,
            crop_pct=1.0,
            crop_mode=mode,
            mean=(128 / 255,) * 3,
            std=(1.0,) * 3,
            is_training=False,
        )
        theirs = transform(Image.fromarray(pixels)).numpy().transpose(1, 2, 0) * 255 + 128
        np.testing.assert_allclose(np.asarray(ours), theirs, atol=1e-3)


@pytest.mark.parametrize("size", [(1, 3000), (3000, 1), (2, 65_000)])
@pytest.mark.parametrize("fit", ["crop", "squash", "pad"])
def test_extreme_proportions_are_read(size: tuple[int, int], fit: Fit) -> None:
    picture = Image.new("L", size, 77)
    square = np.asarray(to_square(picture, 16, fit, CUBIC, (128,)))
    assert square.shape == (16, 16) and set(np.unique(square)) <= {77, 128} and 77 in square
