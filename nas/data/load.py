"""From what a person writes (`folder:flowers`) to a `Dataset`: read, check, split, describe."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from nas.data.copies import describe_copies
from nas.data.formats import cifar10, digits, folder, idx, npz
from nas.data.images import Dataset, Images, Normalisation, Source, count_classes
from nas.data.splits import hold_out
from nas.errors import DataError, SettingsError, reason, unknown_name
from nas.reading import Fit, ReadOptions
from supernet.randomness import Stream, generator

READERS: dict[str, Callable[[Path, ReadOptions], Source]] = {
    "fashion-mnist": lambda path, _: idx.read(path),
    "cifar10": lambda path, _: cifar10.read(path),
    "folder": folder.read,
    "npz": npz.read,
}
"""Kinds of data that are read from a path."""

KINDS: tuple[str, ...] = ("digits", *READERS)
"""Every kind of data that `load_data` understands."""

_NO_NAMES = frozenset(
    {"", "nan", "none", "null", "n/a", "na", "?", "ignore", "ignored", "unknown"}
    | {"unlabeled", "unlabelled", "undefined", "void"}
)
_IMBALANCE = 3.0
"""From this ratio of the largest class to the smallest on, a note says that accuracy misleads."""


def load_data(
    spec: str,
    *,
    options: ReadOptions | None = None,
    seed: int = 0,
    validation_share: float = 0.15,
    test_share: float = 0.15,
) -> Dataset:
    """Reads a data set and splits it. Official splits are used where they exist.

    Args:
        spec: `digits`, `fashion-mnist:DIR`, `cifar10:DIR`, `folder:DIR` or `npz:FILE`.
        options: How images are read, where a person decides it.
        seed: Decides which images are held out, whatever the state of global generators.
        validation_share: Of the training images (after the test), if no validation split exists.
        test_share: Of all images, if no test split exists.

    Raises:
        UnknownNameError: the kind of data is none of `KINDS`.
        DataError: the data is missing, damaged, cannot be split, or has a split without images.
        SettingsError: an option is for another kind of data.
    """
    _check_share("validation_share", validation_share)
    _check_share("test_share", test_share)
    kind, path = parse_spec(spec)
    options = options or ReadOptions()
    _check_options(kind, options)
    source = _read(spec, kind, path, options)
    _check_splits(source)
    _check_classes(source)
    notes = list(source.notes)
    train, validation, test = source.train, source.validation, source.test
    if test is None:
        train, test = hold_out(train, test_share, generator(seed, Stream.TEST_SPLIT))
        notes.append(
            f"test: {test_share:.0%} of the images held out; the data brings no test split"
        )
    if validation is None:
        rng = generator(seed, Stream.VALIDATION_SPLIT)
        train, validation = hold_out(train, validation_share, rng)
        notes.append(f"validation: {validation_share:.0%} of the training images held out")
    # Arrays are squashed to each architecture's square resolution.
    fit: Fit = options.fit if kind == "folder" else "squash"
    return Dataset(
        kind=kind,
        name=_name(kind, path),
        id=_identify(source.classes, train, validation, test),
        classes=source.classes,
        train=train,
        validation=validation,
        normalisation=normalisation_for(train, options, fit),
        notes=(
            _describe_size(train),
            *notes,
            *_describe_names(source.classes),
            *_describe_balance(source.classes, train),
            *_describe_absent("validation", source.classes, validation),
            *_describe_absent("test", source.classes, test),
            *describe_copies(train, validation, test),
        ),
        fit=fit,
        levels=source.levels,
        _test=test,
    )


def normalisation_for(train: Images, options: ReadOptions, fit: Fit) -> Normalisation:
    """Of the training images, or as the options say; arrays of other values are left to theirs."""
    if options.normalisation is None or train.pixels.dtype != np.uint8:
        return Normalisation.of(train, fit)
    return Normalisation(*options.normalisation, 255.0)


def parse_spec(spec: str) -> tuple[str, Path | None]:
    """The kind of data and its path, None for `digits`.

    Raises:
        UnknownNameError: the kind is none of `KINDS`.
        DataError: a path is missing, or there is one where none belongs.
    """
    kind, _, path = spec.partition(":")
    if kind not in KINDS:
        raise unknown_name("data", kind, KINDS, _hint_for_a_bare_path(spec))
    if kind in READERS and not path:
        example = "path/to/images.npz" if kind == "npz" else "path/to/folder"
        raise DataError(f"Data '{spec}' needs a path, for example `{kind}:{example}`.")
    if kind not in READERS and path:
        raise DataError(f"Data '{kind}' is built in and takes no path, but got '{path}'.")
    return kind, Path(path).expanduser() if path else None


def _name(kind: str, path: Path | None) -> str:
    """The kind for well-known data; a person's own data is called as its folder or file."""
    if path is None or kind not in ("folder", "npz"):
        return kind
    return path.resolve().name if kind == "folder" else path.stem


def _hint_for_a_bare_path(spec: str) -> str:
    path = Path(spec).expanduser()
    if path.is_dir():
        return f"To use the folder of images '{spec}', write `folder:{spec}`."
    if path.is_file():
        return f"To use the arrays of the file '{spec}', write `npz:{spec}`."
    return "All but digits take a path, as in `folder:path/to/folder`."


def _read(spec: str, kind: str, path: Path | None, options: ReadOptions) -> Source:
    if path is None:
        return digits.read()
    if not path.exists():
        raise DataError(f"Data '{spec}' cannot be read: '{path}' does not exist. Check the path.")
    try:
        return READERS[kind](path, options)
    except OSError as error:
        place = f"'{error.filename}': " if error.filename not in (None, str(path)) else ""
        raise DataError(f"Data '{spec}' cannot be read: {place}{reason(error)}.") from error


def _check_options(kind: str, options: ReadOptions) -> None:
    """No option is given that this kind of data would silently ignore."""
    usual = ReadOptions()
    for field, word, home in (
        ("fit", "--fit", "folder"),
        ("splits", "--splits", "folder"),
        ("skip_unreadable", "--skip-unreadable", "folder"),
        ("array_layout", "--layout-of-arrays", "npz"),
    ):
        if kind != home and getattr(options, field) != getattr(usual, field):
            raise SettingsError(
                f"{word} is for {home}: data and does nothing for {kind}. Leave it out."
            )


def _check_share(name: str, share: float) -> None:
    if not 0.0 < share < 1.0:
        raise DataError(f"{name} is {share}, but a share of the images lies between 0 and 1.")


def _check_splits(source: Source) -> None:
    """Splits that the data brings have images."""
    for name, split in (("validation", source.validation), ("test", source.test)):
        if split is not None and not len(split):
            raise DataError(
                f"The {name} split has no image that could be read. Add images to it, or remove "
                "it: then some of the other images are held out in its place."
            )


def _check_classes(source: Source) -> None:
    """Two classes or more, and of each enough images for every split that must be held out."""
    if len(source.classes) < 2:
        raise DataError(
            f"There is only one class, '{source.classes[0]}', so there is nothing to tell apart. "
            "Add images of at least one more class."
        )
    held_out = [
        name
        for name, split in (("validation", source.validation), ("test", source.test))
        if split is None
    ]
    needed = 1 + len(held_out)
    counts = count_classes(source.train.labels, len(source.classes))
    few = {name: n for name, n in zip(source.classes, counts, strict=True) if n < needed}
    if few:
        listed = ", ".join(f"'{name}' {n}" for name, n in list(few.items())[:5])
        more = f" and {len(few) - 5} more" if len(few) > 5 else ""
        raise DataError(
            f"Too few images in {len(few)} of {len(counts)} classes: {listed}{more}. Each needs "
            f"at least {needed}, one for each of {', '.join(['training', *held_out])}. "
            "Add images or leave these classes out."
        )


def _identify(classes: tuple[str, ...], *splits: Images) -> str:
    """12 hex digits of the splits' contents: other images or another split, another id."""
    digest = hashlib.blake2b(json.dumps(classes).encode(), digest_size=6)
    for split in splits:
        for array in split.arrays:
            digest.update(f"{array.dtype.str}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _describe_size(images: Images) -> str:
    height, width = images.size
    colours = {1: "grey", 3: "RGB"}.get(images.channels, f"{images.channels} channels")
    note = f"images are {width}x{height}, {colours}; each architecture resizes them to its own"
    return f"{note} resolution" + (" (square: they are squeezed)" if height != width else "")


def _describe_names(classes: tuple[str, ...]) -> tuple[str, ...]:
    """Names that look like one class written in two ways, or like a missing label."""
    written: dict[str, list[str]] = {}
    for name in classes:
        written.setdefault(" ".join(name.casefold().split()), []).append(name)
    alike = [
        f"{' and '.join(repr(name) for name in names)} are classes of nearly the same name"
        for names in written.values()
        if len(names) > 1
    ]
    missing = [name for name in classes if name.strip().casefold() in _NO_NAMES]
    return (*alike, *(f"class {name!r} is called like a missing label" for name in missing))


def _describe_balance(classes: tuple[str, ...], train: Images) -> tuple[str, ...]:
    counts = count_classes(train.labels, len(classes))
    most, least = int(np.argmax(counts)), int(np.argmin(counts))
    if counts[most] <= _IMBALANCE * counts[least]:
        return ()
    return (
        f"imbalanced: '{classes[most]}' has {counts[most]} training images, '{classes[least]}' "
        f"{counts[least]}; balanced accuracy says more than accuracy here",
    )


def _describe_absent(split: str, classes: tuple[str, ...], images: Images) -> tuple[str, ...]:
    counts = count_classes(images.labels, len(classes))
    absent = [name for name, count in zip(classes, counts, strict=True) if not count]
    if not absent:
        return ()
    return (f"{split} has no image of {len(absent)} classes, such as '{absent[0]}'",)
