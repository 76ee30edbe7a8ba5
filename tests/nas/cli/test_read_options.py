"""How images are read and varied, as typed, reaches whoever reads the data."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from typer.testing import Result

from nas.reading import ReadOptions
from nas.settings import Settings

if TYPE_CHECKING:
    from conftest import Recorder

COMMANDS = (["search"], ["train"], ["evolve-space"], ["measure"], ["predict", "timm:resnet18"])


def _settings(called: Recorder) -> Settings:
    ((_, arguments, _),) = called.calls
    found = [getattr(each, "settings", each) for each in arguments]
    (settings,) = [each for each in found if isinstance(each, Settings)]
    return settings


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: words[0])
def test_every_command_with_data_takes_the_options_of_reading(
    run: Callable[..., Result], called: Recorder, command: list[str]
) -> None:
    splits = ["--splits", "train=Training, test=Testing"]
    others = ["--fit", "pad", "--skip-unreadable", "--layout-of-arrays", "NCHW"]
    result = run(*command, "--data", "folder:flowers", *splits, *others)
    assert result.exit_code == 0, result.stderr
    folders = {"train": "Training", "test": "Testing"}
    assert _settings(called).reading == ReadOptions("pad", folders, True, "NCHW")


def test_folders_of_splits_may_have_colons_and_equal_signs(
    run: Callable[..., Result], called: Recorder
) -> None:
    result = run("train", "--data", "folder:/a:b", "--splits", "train=12:30:00, test=lr=1e-3")
    assert result.exit_code == 0, result.stderr
    assert _settings(called).data == "folder:/a:b"
    assert _settings(called).reading.splits == {"train": "12:30:00", "test": "lr=1e-3"}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: words[0])
def test_nothing_typed_is_the_usual_reading(
    run: Callable[..., Result], called: Recorder, command: list[str]
) -> None:
    assert run(*command).exit_code == 0
    assert _settings(called).reading == ReadOptions()


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ("Training", "write SPLIT=DIR for each split"),
        ("train=", "write SPLIT=DIR for each split"),
        ("train=a,train=b", "for each split, once"),
        ("trian=a", "Unknown split 'trian'. Known: train, validation, test."),
        ("test=a", "name no folder of training images: add train=FOLDER"),
    ],
)
def test_wrong_splits_are_told(
    run: Callable[..., Result], called: Recorder, splits: str, message: str
) -> None:
    result = run("search", "--splits", splits)
    assert (result.exit_code, called.calls) == (2, [])
    assert message in result.stderr


@pytest.mark.parametrize("command", ["search", "train", "evolve-space"])
def test_mirroring_has_a_plain_switch(
    run: Callable[..., Result], called: Recorder, command: str
) -> None:
    assert run(command, "--no-mirror").exit_code == 0
    assert _settings(called).recipe == {"flip": False}


def test_a_switch_and_a_recipe_that_contradict_each_other_are_told(
    run: Callable[..., Result], called: Recorder
) -> None:
    result = run("train", "--mirror", "--recipe", "flip=false")
    assert (result.exit_code, called.calls) == (2, [])
    assert "contradicts flip in --recipe" in result.stderr
