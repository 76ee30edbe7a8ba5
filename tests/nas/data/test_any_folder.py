"""Folders as people have them, made at random: no image is lost or changed without a word."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from nas.data.formats.folder import read
from nas.errors import DataError
from nas.reading import Fit, ReadOptions

TOPS = ("cat", "dog", "Train", "train", "Test", "val", "seg_test", "tram", ".cache", "fold 1")
ODD = ("a,b", "50%", "12:30:00", "-x", "é", "x.png", "CON", "c" * 200)
BELOW = ("", "cat", "dog", "2024", "train", "test", ".ipynb_checkpoints", "train/cat", "a/b/c")
ENDINGS = (".png", ".PNG", ".jfif", ".tif", ".gif", ".bmp", ".txt", ".heic", "")
KINDS = ("plain", "plain", "plain", "broken", "link to nowhere", "link", "hidden")
SIZES = ((8, 8), (24, 8), (8, 40), (1, 1), (30, 31))
SPLITS = ({}, {}, {"train": "."}, {"train": "train", "test": "Test"}, {"train": "cat"})
NO_IMAGES = (".txt", ".heic", "")


@dataclass(frozen=True)
class File:
    """A file to write."""

    top: str
    below: str
    ending: str
    kind: str
    size: tuple[int, int]


files = st.builds(
    File,
    st.sampled_from((*TOPS, *TOPS, *ODD)),
    st.sampled_from(BELOW),
    st.sampled_from(ENDINGS),
    st.sampled_from(KINDS),
    st.sampled_from(SIZES),
)


def write(root: Path, elsewhere: Path, number: int, file: File) -> None:
    """One file with an image whose pixels are all its own number."""
    folder = root / file.top / file.below
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{'.' * (file.kind == 'hidden')}{number}{file.ending}"
    path = folder / name
    if file.kind == "link to nowhere":
        return path.symlink_to(root / "nowhere")
    if file.kind == "link":
        path.symlink_to(elsewhere / name)
        path = elsewhere / name
    if file.kind == "broken" or file.ending in NO_IMAGES:
        path.write_bytes(b"not an image")
        return None
    kinds = {".jfif": "JPEG", ".tif": "TIFF", ".gif": "GIF", ".bmp": "BMP"}
    level = np.full(file.size, number, dtype=np.uint8)
    return Image.fromarray(level).save(path, format=kinds.get(file.ending, "PNG"))


def told(notes: tuple[str, ...]) -> int:
    """How many images the notes say were left out."""
    count = 0
    for note in notes:
        if note.startswith("images in hidden folders"):
            count += sum(map(int, re.findall(r"(\d+) '", note)))
        elif re.search("cannot be read|are hidden files|beside the class folders", note):
            count += int(note.split()[0])
    return count


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.lists(files, min_size=1, max_size=30),
    st.booleans(),
    st.sampled_from(SPLITS),
    st.sampled_from(get_args(Fit)),
)
def test_every_image_is_read_or_named(
    written: list[File], skip: bool, splits: dict[str, str], fit: Fit
) -> None:
    with tempfile.TemporaryDirectory() as name:
        root, elsewhere = Path(name) / "data", Path(name) / "elsewhere"
        elsewhere.mkdir()
        for number, file in enumerate(written):
            write(root, elsewhere, number, file)
        try:
            source = read(root, ReadOptions(fit, splits, skip))
        except DataError as error:
            assert len(str(error)) > 40 and "Traceback" not in str(error)
            return
    parts = [part for part in (source.train, source.validation, source.test) if part]
    middle = source.train.size[0] // 2
    seen = np.concatenate([part.pixels[:, middle, middle, 0] for part in parts]).tolist()
    assert len(set(seen)) == len(seen)  # each image once, with its own pixels
    labels = np.concatenate([part.labels for part in parts]).tolist()
    for number, label in zip(seen, labels, strict=True):
        file = written[number]
        assert file.kind in ("plain", "link") and file.ending not in NO_IMAGES
        assert source.classes[label] in (file.top, *file.below.split("/"))
    images = sum(file.ending not in NO_IMAGES for file in written)
    assert len(seen) + told(source.notes) == images
