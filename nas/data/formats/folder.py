"""A folder of images, one sub-folder per class; `folder_layout.py` says how splits are found.

    flowers/rose/1.jpg       flowers/train/rose/1.jpg       flowers/rose/train/1.jpg
    flowers/tulip/2.png      flowers/test/rose/7.jpg        flowers/rose/test/7.jpg

Every file is read, is an error, or is counted in a note. `pictures.py` decodes them.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from nas.data.formats.folder_layout import EXPECTED, NO_IMAGES, split_folders
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
    hidden_files: list[str] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    """Files without an image's ending, by ending."""
    loose: list[str] = field(default_factory=list)
    """Images beside the class folders."""
    closed: list[str] = field(default_factory=list)
    """Folders that cannot be listed."""

    def notes(self) -> Iterator[str]:
        """A sentence for each kind."""
        if self.others:
            yield f"files not read as images: {_counted(self.others)}"
        if self.hidden:
            yield f"images in hidden folders, left out: {_counted(self.hidden)}"
        for names, what in (
            (self.hidden_files, "images are hidden files"),
            (self.loose, "images lie beside the class folders"),
            (self.closed, "folders cannot be listed"),
        ):
            if names:
                yield f"{len(names)} {what}, left out: {listed(sorted(names))}"


def read(folder: Path, options: ReadOptions | None = None) -> Source:
    """The images of a folder at one common size.

    Raises:
        DataError: the folder is empty, it resembles splits of no known layout, its splits have
            classes that train lacks, or files cannot be read.
    """
    options = options or ReadOptions()
    if not folder.is_dir():
        raise DataError(f"'{folder}' is not a folder. {EXPECTED.format(folder=folder)}")
    folders = split_folders(folder, options)
    splits = {
        split: {name: image_files(root) for name, root in roots.items()}
        for split, roots in folders.items()
    }
    classes = tuple(splits["train"])
    _check_classes(folder, splits)
    files = [path for split in splits.values() for name in split for path in split[name]]
    decoded = decode(files, options)
    images, start = {}, 0
    for split, by_class in splits.items():
        counts = [len(by_class[name]) for name in by_class]
        labels = np.repeat(np.array([classes.index(name) for name in by_class]), counts)
        kept = decoded.read[start : start + len(labels)]
        chosen = start + np.flatnonzero(kept)
        sizes = None if decoded.sizes is None else decoded.sizes[chosen]
        images[split] = Images(decoded.pixels[chosen], labels[kept].astype(np.int64), sizes)
        start += len(labels)
    roots = [root for by_class in folders.values() for root in by_class.values()]
    notes = (*decoded.notes, *passed_over(folder, roots, files))
    found = (images.get("validation"), images.get("test"))
    return Source(classes, images["train"], *found, notes, decoded.levels)


def image_files(root: Path) -> list[Path]:
    """All image files below a folder, in order; hidden ones are left out."""
    return sorted(
        path
        for path, hidden in _files_below(root, _cannot_list)
        if not hidden and path.suffix.lower() in EXTENSIONS and not path.name.startswith(".")
    )


def _files_below(
    root: Path, on_error: Callable[[OSError], object]
) -> Iterator[tuple[Path, str | None]]:
    """Files below a folder, links followed once, and the hidden folder that each lies in."""
    seen: set[str] = set()
    for place, folders, names in os.walk(root, followlinks=True, onerror=on_error):
        here = os.path.realpath(place)
        if here in seen:  # a link to a folder above
            folders.clear()
            continue
        seen.add(here)
        hidden = next((part for part in _parts(root, place) if _is_hidden(part)), None)
        for name in names:
            yield Path(place) / name, hidden


def passed_over(folder: Path, roots: Sequence[Path], used: Sequence[Path]) -> tuple[str, ...]:
    """Sentences on what lies in the data's folder, and in `roots` elsewhere, but is not used."""
    passed, known = _PassedOver(), {os.path.realpath(path) for path in used}
    elsewhere = [root for root in roots if not root.is_relative_to(folder)]
    for place in (folder, *elsewhere):
        for path, hidden in _files_below(place, lambda e: passed.closed.append(e.filename)):
            name, ending = path.name, path.suffix.lower()
            if name.startswith("._"):  # what macOS keeps beside a file
                continue
            if ending not in EXTENSIONS:
                if hidden is None and not name.startswith("."):
                    passed.others[_what(path)] += 1
            elif os.path.realpath(path) in known:
                continue
            elif hidden is not None:
                passed.hidden[hidden] += 1
            elif name.startswith("."):
                passed.hidden_files.append(name)
            else:
                passed.loose.append(name)
    return tuple(passed.notes())


def _what(path: Path) -> str:
    """A file that is no image, in a word."""
    gone = path.is_symlink() and not path.exists()
    return f"{path.name} (a link to nowhere)" if gone else path.suffix.lower() or "no ending"


def _parts(root: Path, place: str) -> tuple[str, ...]:
    return Path(place).relative_to(root).parts


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in NO_IMAGES


def _cannot_list(error: OSError) -> None:
    raise DataError(f"Folder '{error.filename}' cannot be listed: {error.strerror}.") from error


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


def _counted(counts: Counter[str], most: int = 10) -> str:
    """How many there are of each kind, the most frequent kinds in the order of their names."""
    named = dict(counts.most_common(most))
    others = counts.total() - sum(named.values())
    words = [f"{count} '{name}'" for name, count in sorted(named.items())]
    return ", ".join([*words, *([f"{others} others"] if others else [])])
