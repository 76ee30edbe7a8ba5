"""Where the splits and classes of a folder of images are, told by the names of its folders.

    train/cat  test/cat      splits above the classes
    cat/train  cat/test      splits below the classes
    cat  dog                 classes alone

Names of splits are known in any case. What resembles a split but is none of these layouts is
refused, never read as a class.
"""

from __future__ import annotations

import re
from pathlib import Path

from nas.data.formats.pictures import EXTENSIONS, listed
from nas.errors import DataError
from nas.reading import ReadOptions

SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "validate", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
NO_IMAGES = frozenset({"__MACOSX"})
"""Folders that archive programs leave behind."""
EXPECTED = "Expected one folder per class, such as {folder}/cat/1.png and {folder}/dog/1.png."
_NAME_THEM = (
    "Name the splits, such as --splits train={train},test={test}, or read every folder as a class "
    "with --splits train=."
)

ClassFolders = dict[str, Path]
"""The folder of each class."""


def split_folders(folder: Path, options: ReadOptions) -> dict[str, ClassFolders]:
    """By split, `train` first, the folder of each class.

    Raises:
        DataError: there are no class folders, or the folders resemble splits of no known layout.
    """
    if options.splits:
        named = {split: _named(folder, name) for split, name in options.splits.items()}
        return _train_first({split: _class_folders(path) for split, path in named.items()})
    tops = folders_in(folder)
    known = {path: SPLIT_NAMES[path.name.lower()] for path in tops if _is_split(path)}
    if any(split == "train" and folders_in(path) for path, split in known.items()):
        return _splits_above(folder, tops, known)
    below = {path: folders_in(path) for path in tops}
    if tops and all(subs and all(map(_is_split, subs)) for subs in below.values()):
        return _splits_below(folder, below)
    _refuse_resemblance(folder, tops)
    return {"train": _class_folders(folder)}


def _splits_above(
    folder: Path, tops: list[Path], known: dict[Path, str]
) -> dict[str, ClassFolders]:
    """`train/cat`: every folder is a split."""
    strangers = [path.name for path in tops if path not in known]
    if strangers:
        raise DataError(
            f"Folder '{folder}' has splits with classes inside, and beside them "
            f"{listed(strangers)}, which is none of {', '.join(SPLIT_NAMES)}. Move it away. "
            f"{_NAME_THEM.format(train='train', test=strangers[0])}"
        )
    splits: dict[str, ClassFolders] = {}
    for path, split in known.items():
        if split in splits:
            names = [p.name for p, s in known.items() if s == split]
            raise DataError(
                f"Folder '{folder}' has {listed(names)} for the {split} split. Keep one."
            )
        splits[split] = _class_folders(path)
    return _train_first(splits)


def _splits_below(folder: Path, below: dict[Path, list[Path]]) -> dict[str, ClassFolders]:
    """`cat/train`: every class is divided."""
    splits: dict[str, ClassFolders] = {}
    for top, subs in below.items():
        for sub in subs:
            split = SPLIT_NAMES[sub.name.lower()]
            splits.setdefault(split, {})[top.name] = sub
    if "train" not in splits:
        raise DataError(f"The classes of '{folder}' have no folder of training images.")
    return _train_first(splits)


def _train_first(splits: dict[str, ClassFolders]) -> dict[str, ClassFolders]:
    return dict(sorted(splits.items(), key=lambda item: item[0] != "train"))


def _refuse_resemblance(folder: Path, tops: list[Path]) -> None:
    """Folders that are called as splits are, in a layout that is not one of ours."""
    words = {path: _split_word(path.name) for path in tops}
    resembling = [path for path, word in words.items() if word]
    several = len({words[path] for path in resembling}) > 1
    inside = {path: {folder.name for folder in folders_in(path)} for path in resembling}
    classes = {path.name for path in tops} - {path.name for path in resembling}
    divided = any(inside.values()) and several
    repeats = any(names & classes for names in inside.values())
    if not tops or not (len(resembling) == len(tops) or divided or repeats):
        return
    by_word = {words[path]: path.name for path in reversed(resembling)}
    example = _NAME_THEM.format(
        train=by_word.get("train", "FOLDER"), test=by_word.get("test", "FOLDER")
    )
    raise DataError(
        f"Folder '{folder}' has {listed([path.name for path in resembling])}, which look like "
        f"splits, but no class folders in a folder called train. "
        f"{EXPECTED.format(folder=folder / 'train')} {example}"
    )


def _is_split(path: Path) -> bool:
    return path.name.lower() in SPLIT_NAMES


def _split_word(name: str) -> str | None:
    """The split that a name resembles: `seg_train`, `Test-2` and `trainset` do, `tram` not."""
    for word in re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", name).lower()):
        for form in (word, word.removesuffix("set"), word.removesuffix("data"), word[:-1]):
            if form in SPLIT_NAMES:
                return SPLIT_NAMES[form]
    return None


def _named(folder: Path, name: str) -> Path:
    """A split's folder as the person named it."""
    path = folder / name
    if not path.is_dir():
        raise DataError(f"'{path}', named as a split, is not a folder.")
    return path


def folders_in(folder: Path) -> list[Path]:
    """Folders that may hold images, by name."""
    inside = (path for path in folder.iterdir() if path.is_dir())
    return sorted(p for p in inside if not p.name.startswith(".") and p.name not in NO_IMAGES)


def _class_folders(root: Path) -> ClassFolders:
    folders = folders_in(root)
    if not folders:
        loose = sum(path.suffix.lower() in EXTENSIONS for path in root.iterdir())
        found = f"{loose} images but no" if loose else "no"
        raise DataError(f"Folder '{root}' has {found} folders. {EXPECTED.format(folder=root)}")
    return {path.name: path for path in folders}
