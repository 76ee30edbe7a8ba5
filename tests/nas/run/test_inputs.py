"""What a run rests on is said, and compared when it goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas import pipeline
from nas.commands import steps as commands
from nas.data import load_data
from nas.data.mirrored import loss_by_mirroring, sided_classes
from nas.errors import DataError, SpaceError
from nas.progress import Silent
from nas.run.context import Context
from nas.run.folder import resume_run
from nas.run.inputs import check_inputs, say_data
from nas.run.work import Work
from nas.settings import Settings


@pytest.fixture
def begun(home: Path, tmp_path: Path) -> Path:
    """A run that has only just begun, with a space and images of its own."""
    (tmp_path / "own.yaml").write_text((home / "minute.yaml").read_text())
    (tmp_path / "own.npz").write_bytes((home / "images.npz").read_bytes())
    settings = Settings(space=str(tmp_path / "own.yaml"), data=f"npz:{tmp_path / 'own.npz'}")
    pipeline.run(settings, out=tmp_path / "run", until="space")
    return tmp_path / "run"


def test_a_class_that_was_added_is_refused(begun: Path, tmp_path: Path) -> None:
    with np.load(tmp_path / "own.npz") as arrays:
        images, labels = arrays["images"], arrays["labels"].copy()
    labels[:30] = 3
    np.savez(tmp_path / "own.npz", images=images, labels=labels)
    with pytest.raises(DataError, match=r"has changed .*3 classes, .* then, 4 classes, .* now"):
        pipeline.resume(begun)


@pytest.mark.parametrize("change", ["a pixel", "the order", "a name"])
def test_other_images_in_the_same_number_are_refused(
    begun: Path, tmp_path: Path, change: str
) -> None:
    with np.load(tmp_path / "own.npz") as arrays:
        images, labels = arrays["images"], arrays["labels"]
    if change == "a pixel":
        images[0, 0, 0] ^= 1
    if change == "the order":
        images, labels = images[::-1], labels[::-1]
    names = {"classes": ["a", "b", "c"]} if change == "a name" else {}
    np.savez(tmp_path / "own.npz", allow_pickle=True, images=images, labels=labels, **names)
    with pytest.raises(DataError, match=r"has changed .* then, .*Put the images back"):
        pipeline.resume(begun)


def test_images_that_are_gone_are_told(begun: Path, tmp_path: Path) -> None:
    (tmp_path / "own.npz").unlink()
    with pytest.raises(DataError, match="does not exist"):
        pipeline.resume(begun)


def test_a_space_that_was_edited_is_refused(begun: Path, tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(file.read_text().replace("[8, 16]", "[8, 24]"))
    with pytest.raises(SpaceError, match="has changed since this run began"):
        pipeline.resume(begun)


def test_other_versions_are_said(begun: Path, heard: Any) -> None:
    file = begun / "inputs.json"
    before = json.loads(file.read_text())
    file.write_text(json.dumps({**before, "packages": {**before["packages"], "timm": "0.1"}}))
    with resume_run(begun) as folder:
        check_inputs(Work(folder, Context(folder.settings), heard))
    assert [line for line in heard.said if "began with timm 0.1" in line and "timm==0.1" in line]


def test_commands_on_a_run_compare_as_well(begun: Path, tmp_path: Path) -> None:
    file = begun / "inputs.json"
    before = json.loads(file.read_text())
    file.write_text(json.dumps({**before, "data": {**before["data"], "id": "0" * 12}}))
    with pytest.raises(DataError, match="id 000000000000"):
        commands.report(begun, console=Silent())


def _arrows(path: Path, *, faces: bool) -> Path:
    """Arrows to the left and right; or, with `faces`, two shapes that are their own mirror."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 60, (200, 12, 12, 3), dtype=np.uint8)
    labels = np.arange(200) % 2
    for image, label in zip(images, labels, strict=True):
        row = 2 + int(rng.integers(6))
        image[row : row + 2, 1:11] += 120
        tip = slice(row - 2, row + 4)
        if faces:
            image[tip, 5:7] = 240 if label else 0
        else:
            image[tip, 2:4] = 240 if label else 0
            image[tip, 8:10] = 0 if label else 240
    np.savez(path, images=images, labels=labels)
    return path


@pytest.mark.parametrize(("faces", "warned"), [(False, True), (True, False)])
def test_mirroring_is_warned_of_where_left_and_right_matter(
    tmp_path: Path, heard: Any, faces: bool, warned: bool
) -> None:
    data = f"npz:{_arrows(tmp_path / 'arrows.npz', faces=faces)}"
    assert (loss_by_mirroring(load_data(data).search_view()) is not None) == warned
    heard.said.clear()
    say_data(Context(Settings(data=data, recipe={"flip": True})), heard)
    assert any("mirrored left and right at random (switch it off with" in s for s in heard.said)
    assert any("switch mirroring off with --no-mirror" in s for s in heard.said) == warned


@pytest.mark.parametrize(
    ("classes", "sided"),
    [
        (("turn-left", "turn-right", "stop"), ("turn-left", "turn-right")),
        (("TurnLeft2", "TurnRight2"), ("TurnLeft2", "TurnRight2")),
        (("R", "L"), ("L", "R")),
        (("a", "b", "c", "d"), ("b", "d")),
        (("left", "up"), None),
        (("bird", "dog"), None),
    ],
)
def test_classes_that_are_called_as_sides_are_noticed(
    classes: tuple[str, ...], sided: tuple[str, str] | None
) -> None:
    assert sided_classes(classes) == sided


def test_mirroring_is_warned_of_by_the_names_of_classes(tmp_path: Path, heard: Any) -> None:
    images = np.random.default_rng(0).integers(0, 255, (20, 12, 12, 3), dtype=np.uint8)
    labels = np.resize(["left eye", "right eye"], 20)
    np.savez(tmp_path / "eyes.npz", images=images, labels=labels)
    settings = Settings(data=f"npz:{tmp_path / 'eyes.npz'}", recipe={"flip": True})
    heard.said.clear()
    say_data(Context(settings), heard)
    assert any("There are classes called 'left eye' and 'right eye'" in s for s in heard.said)


def test_digits_are_never_mirrored_and_it_is_said(heard: Any) -> None:
    heard.said.clear()
    say_data(Context(Settings()), heard)
    assert any("training images are never mirrored, shifted" in s for s in heard.said)
    assert not any("Warning" in s for s in heard.said)


def test_a_space_smaller_than_the_evaluations_is_said(
    home: Path, tmp_path: Path, heard: Any
) -> None:
    heard.said.clear()
    settings = Settings(
        space=str(home / "minute.yaml"), data=f"npz:{home / 'images.npz'}", evaluations=100_000
    )
    pipeline.run(settings, out=tmp_path / "run", until="space", console=heard)
    assert any("fewer than the 100000 evaluations" in line for line in heard.said)
