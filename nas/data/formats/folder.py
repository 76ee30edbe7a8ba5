"""A folder of images, one sub-folder per class; `folder_layout.py` says how splits are found.

    flowers/rose/1.jpg       flowers/train/rose/1.jpg       flowers/rose/train/1.jpg
    flowers/tulip/2.png      flowers/test/rose/7.jpg        flowers/rose/test/7.jpg

Every file is read, is an error, or is counted in a note. `pictures.py` decodes them.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from nas.data.formats.folder_layout import EXPECTED, NO_IMAGES, SPLIT_NAMES, split_folders
from nas.data.formats.pictures import EXTENSIONS, decode, listed
from nas.data.images import Images, Source
from nas.errors import DataError
from nas.reading import ReadOptions

Classes = dict[str, list[Path]]
"""Files by class."""


@dataclass
class _PassedOver:
    """Files that are no images of a class; a person is told how many there are."""

    hidden: Counter[str] = field(default_factory=Counter)
    """Images in hidden folders, by the folder's name."""
    others: Counter[str] = field(default_factory=Counter)
    """Files without an image's ending, by ending."""
    loose: list[Path] = field(default_factory=list)
    """Images beside the class folders."""

    def notes(self) -> Iterator[str]:
        """A sentence for each kind."""
        if self.others:
            yield f"files not read as images: {_counted(self.others)}"
        if self.hidden:
            yield f"images in hidden folders, left out: {_counted(self.hidden)}"
        if self.loose:
            names = listed([path.name for path in self.loose])
            yield f"{len(self.loose)} images lie beside the class folders, left out: {names}"


def read(folder: Path, options: ReadOptions | None = None) -> Source:
    """The images of a folder at one common size.

    Raises:
        DataError: the folder is empty, it resembles splits of no known layout, its splits have
            classes that train lacks, or files cannot be read.
    """
    options = options or ReadOptions()
    if not folder.is_dir():
        raise DataError(f"'{folder}' is not a folder. {EXPECTED.format(folder=folder)}")
    passed = _PassedOver()
    splits = {
        split: {name: sorted(_image_files(root, passed)) for name, root in roots.items()}
        for split, roots in split_folders(folder, options).items()
    }
    passed.loose = _images_beside(folder, splits)
    classes = tuple(splits["train"])
    _check_classes(folder, splits)
    files = [path for split in splits.values() for name in split for path in split[name]]
    decoded = decode(files, options)
    images, start = {}, 0
    for split, by_class in splits.items():
        counts = [len(by_class[name]) for name in by_class]
        labels = np.repeat(np.array([classes.index(name) for name in by_class]), counts)
        kept = decoded.read[start : start + len(labels)]
        part = decoded.pixels[start : start + len(labels)][kept]
        images[split] = Images(part, labels[kept].astype(np.int64))
        start += len(labels)
    notes = (*decoded.notes, *passed.notes())
    found = (images.get("validation"), images.get("test"))
    return Source(classes, images["train"], *found, notes, decoded.levels)


def image_files(root: Path) -> list[Path]:
    """All image files below a folder, in order; hidden ones are left out."""
    return sorted(_image_files(root, _PassedOver()))


def _image_files(root: Path, passed: _PassedOver) -> Iterator[Path]:
    """Image files below a class folder, links followed; the others are counted."""
    seen: set[str] = set()
    for place, folders, names in os.walk(root, followlinks=True, onerror=_cannot_list):
        here = os.path.realpath(place)
        if here in seen:  # a link to a folder above
            folders.clear()
            continue
        seen.add(here)
        hidden = next((part for part in _parts(root, place) if _is_hidden(part)), None)
        for name in names:
            path = Path(place) / name
            if name.startswith("."):
                continue
            if path.suffix.lower() not in EXTENSIONS:
                if hidden is None:
                    passed.others[path.suffix.lower() or name] += 1
            elif hidden is not None:
                passed.hidden[hidden] += 1
            else:
                yield path


def _parts(root: Path, place: str) -> tuple[str, ...]:
    return Path(place).relative_to(root).parts


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in NO_IMAGES


def _cannot_list(error: OSError) -> None:
    raise DataError(f"Folder '{error.filename}' cannot be listed: {error.strerror}.") from error


def _images_beside(folder: Path, splits: dict[str, Classes]) -> list[Path]:
    """Images directly in the data's folder or in those of its splits."""
    places = [folder]
    if len(splits) > 1:
        places += [p for p in folder.iterdir() if p.is_dir() and p.name.lower() in SPLIT_NAMES]
    inside = [path for place in places for path in place.iterdir()]
    used = {path for split in splits.values() for files in split.values() for path in files}
    return sorted(
        path
        for path in inside
        if path.suffix.lower() in EXTENSIONS and not path.is_dir() and path not in used
    )


def _check_classes(folder: Path, splits: dict[str, Classes]) -> None:
    """Every class has training images, and no split has a class that train lacks."""
    empty = [name for name, files in splits["train"].items() if not files]
    if empty:
        raise DataError(
            f"Folder '{folder}' has classes without an image: {listed(empty)}. Add images "
            f"({', '.join(sorted(EXTENSIONS))}) or remove these folders."
        )
    for split, files in splits.items():
        extra = sorted(set(files) - set(splits["train"]))
        if extra:
            raise DataError(
                f"The {split} split of '{folder}' has {listed(extra)}, which train lacks. Every "
                "class needs training images; check the spelling of the folders."
            )


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{count} '{name}'" for name, count in sorted(counts.items()))
