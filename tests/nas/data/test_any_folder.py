"""Folders as people have them, made at random: no image is lost or changed without a word."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from nas.data.formats.folder import read
from nas.errors import DataError
from nas.reading import ReadOptions

TOPS = ("cat", "dog", "Train", "train", "Test", "val", "seg_test", "tram", ".cache", "fold 1")
BELOW = ("", "cat", "dog", "2024", "train", "test", ".ipynb_checkpoints")
ENDINGS = (".png", ".PNG", ".jfif", ".tif", ".txt", ".heic", ".broken.png", ".link.png")

files = st.tuples(st.sampled_from(TOPS), st.sampled_from(BELOW), st.sampled_from(ENDINGS))


def write(root: Path, number: int, top: str, below: str, ending: str) -> bool:
    """One file with an image of its own number; whether its ending is that of an image."""
    folder = root / top / below
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{number}{ending}"
    if "link" in ending:
        path.symlink_to(root / "nowhere")
    elif "broken" in ending or ending in (".txt", ".heic"):
        path.write_bytes(b"not an image")
    else:
        level = np.full((8, 8), number, dtype=np.uint8)
        kind = {".jfif": "JPEG", ".tif": "TIFF"}.get(ending, "PNG")
        Image.fromarray(level).save(path, format=kind)
    return ending not in (".txt", ".heic")


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(files, min_size=1, max_size=30), st.booleans())
def test_every_image_is_read_or_named(written: list[tuple[str, str, str]], skip: bool) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        images = [write(root, number, *file) for number, file in enumerate(written)]
        try:
            source = read(root, ReadOptions(skip_unreadable=skip))
        except DataError as error:
            assert len(str(error)) > 40 and "Traceback" not in str(error)
            return
    splits = [split for split in (source.train, source.validation, source.test) if split]
    seen = np.concatenate([split.pixels[:, 4, 4, 0] for split in splits])
    assert len(set(seen.tolist())) == len(seen)  # each image once, with its own pixels
    assert set(seen.tolist()) <= set(range(len(written)))
    told = 0
    for note in source.notes:
        if "hidden folders" in note:
            told += sum(map(int, re.findall(r"(\d+) '", note)))
        elif "cannot be read" in note:
            told += int(note.split()[0])
    in_hidden_tops = sum(
        image and top.startswith(".") for image, (top, _, _) in zip(images, written, strict=True)
    )
    assert len(seen) + told + in_hidden_tops == sum(images)
