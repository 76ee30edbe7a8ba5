"""Where the splits and classes of a folder of images are, told by the names of its folders.

    train/cat  test/cat      splits above the classes
    cat/train  cat/test      splits below the classes
    cat  dog                 classes alone

Names of splits are known in any case. What resembles splits but is none of these layouts is
refused, never read as a class: folders called like splits, classes of which only some are divided,
and folders that all hold the same folders, such as `fold1/cat  fold2/cat`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from nas.data.formats.pictures import EXTENSIONS, listed
from nas.errors import DataError
from nas.reading import ReadOptions

SPLIT_NAMES = {
    **dict.fromkeys(("train", "training", "trainval"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "validate", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
NO_IMAGES = frozenset(
    {"__MACOSX", "@eaDir", "#recycle", "@Recycle", "$RECYCLE.BIN", "lost+found"}
    | {"System Volume Information"}
)
"""Folders of archive programs, network storage and operating systems: thumbnails and waste."""
EXPECTED = "Expected one folder per class, such as {folder}/cat/1.png and {folder}/dog/1.png."

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
    _refuse_single(folder, tops)
    below = {path: folders_in(path) for path in tops}
    if tops and all(subs and all(map(_is_split, subs)) for subs in below.values()):
        _refuse_repeats(folder, [sub for subs in below.values() for sub in subs])
        return _splits_below(folder, below)
    _refuse_resemblance(folder, tops)
    _refuse_divided(folder, below)
    _refuse_repeats(folder, tops)
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
            f"{_name_them({'train': _called('train', known), 'test': strangers[0]})}"
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
    by_word = {word: path.name for path in reversed(resembling) if (word := words[path])}
    example = _name_them({"train": "FOLDER", **({} if several else {"test": "FOLDER"}), **by_word})
    raise DataError(
        f"Folder '{folder}' has {listed([path.name for path in resembling])}, which look like "
        f"splits, but no class folders in a folder called train. "
        f"{EXPECTED.format(folder=folder / 'train')} {example}"
    )


def _refuse_divided(folder: Path, below: dict[Path, list[Path]]) -> None:
    """Some classes are divided into splits and others not."""
    divided = [top for top, subs in below.items() if any(map(_is_split, subs))]
    if divided:
        others = [top.name for top in below if top not in divided]
        among = f", and {listed(others)} has not" if others else " beside others"
        raise DataError(
            f"'{divided[0].name}' in folder '{folder}' has folders called like splits{among}. "
            f"Divide every class, such as cat/train/1.png and cat/test/2.png, or read every "
            "image below a folder as one of its class with --splits train=."
        )


def _refuse_repeats(folder: Path, tops: list[Path]) -> None:
    """Several folders hold the same folders: those may be the classes."""
    inside = {top: {each.name for each in folders_in(top)} for top in tops}
    counts = Counter(name for names in inside.values() for name in names)
    repeated = {name for name, count in counts.items() if count > 1}
    if len(repeated) > 1:
        above = [str(top.relative_to(folder)) for top in tops if inside[top] & repeated]
        raise DataError(
            f"Folders {listed(above)} in '{folder}' hold the same folders, "
            f"{listed(sorted(repeated))}: these may be the classes, and the folders above them "
            f"splits, folds or sources. {_name_them({'train': above[0], 'test': above[-1]})}"
        )


def _refuse_single(folder: Path, tops: list[Path]) -> None:
    """The data's own folder is one further down."""
    inside = [path.name for path in folders_in(tops[0])] if len(tops) == 1 else []
    if len(inside) > 1:
        raise DataError(
            f"Folder '{folder}' holds the single folder '{tops[0].name}', and that one "
            f"{listed(inside)}. If those are its classes or splits, give '{tops[0]}' instead."
        )


def _name_them(splits: Mapping[str, str]) -> str:
    """What to do, with the folder of each split as an example."""
    named = ",".join(f"{split}={name}" for split, name in splits.items())
    return (
        f"Name the splits, such as --splits {named}, or read every folder as a class with "
        "--splits train=."
    )


def _called(split: str, known: Mapping[Path, str]) -> str:
    """The name that a split's folder has."""
    return next(path.name for path, each in known.items() if each == split)


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
        raise DataError(
            f"Folder '{root}' has {found} folders. {EXPECTED.format(folder=root)} A split "
            "without labels is left out with --splits, which names the others."
        )
    return {path.name: path for path in folders}
