"""What the help shows as an example is accepted by the program."""

from __future__ import annotations

import inspect
import re
import shlex
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from typer.main import get_command
from typer.testing import Result

from nas.cli import app
from nas.cli.options import CLUSTER
from nas.run.context import Context
from nas.settings import Settings

if TYPE_CHECKING:
    from conftest import Recorder

NEEDS = {
    "report": ["RUN"],
    "resume": ["RUN"],
    "retrain": ["RUN"],
    "export": ["RUN"],
    "predict": ["timm:resnet18"],
}
"""Arguments that a command does not run without."""


def _walk(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command with the words that name it."""
    if path:
        yield path, command
    for name, sub in getattr(command, "commands", {}).items():
        yield from _walk(sub, (*path, name))


COMMANDS = dict(_walk(get_command(app)))
LAZY = ("search", "evolve-space", "resume", "report", "train", "measure", "predict", "retrain",
        "export")  # fmt: skip
"""Commands whose work the fixture `called` takes."""


def _examples() -> Iterator[tuple[str, list[str]]]:
    for path, command in COMMANDS.items():
        text = inspect.cleandoc(command.help or "")
        for example in re.findall(r"Example: nas ([^\n]*?)(?:, which.*)?$", text, re.MULTILINE):
            yield " ".join(path), shlex.split(example)


def _values() -> Iterator[tuple[str, str, str]]:
    """Command, option, and each value that its help names after 'such as'."""
    for path, command in COMMANDS.items():
        for option in command.params:
            for listed in re.findall(r"such as (.*?)(?:[.;] |[.;]?$)", option.help or ""):
                for value in re.split(r", | or ", listed):
                    if path[0] in LAZY:
                        yield path[0], option.opts[0], value


def _accepted(called: Recorder) -> None:
    """The one call's settings name nothing unknown."""
    (call,) = called.calls
    for value in (*call[1], *call[2].values(), *(getattr(a, "settings", None) for a in call[1])):
        if isinstance(value, Settings):
            Context(value).check_names()


def test_every_command_has_an_example() -> None:
    assert {name for name, _ in _examples()} >= {" ".join(path) for path in COMMANDS}


@pytest.mark.parametrize(("name", "words"), list(_examples()))
def test_an_example_is_accepted(
    run: Callable[..., Result], called: Recorder, name: str, words: list[str]
) -> None:
    assert " ".join(words).startswith(name) or name == "hardware show"
    if words[0] in LAZY:
        called.document = {"device_ms": 1.0, "kernels": {}, "launches": []}  # of --explain
        result = run(*words)
        assert result.exit_code == 0, result.stderr
        _accepted(called)
        return
    command: Any = get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command, words = command.commands[words[0]], words[1:]
    command.make_context(name, words)  # raises for what it does not take


@pytest.mark.parametrize(("command", "option", "value"), list(_values()))
def test_a_value_that_the_help_names_is_accepted(
    run: Callable[..., Result], called: Recorder, command: str, option: str, value: str
) -> None:
    result = run(command, *NEEDS.get(command, []), *_beside(command, option), option, value)
    assert result.exit_code == 0, result.stderr
    _accepted(called)


def _beside(command: str, named: str) -> list[str]:
    """What an option needs beside it.

    A cluster, or a device that takes the values of conditions, such as fp32 and compile.
    """
    takes = {option.opts[0]: option for option in COMMANDS[(command,)].params}
    if takes[named].rich_help_panel == CLUSTER and named != "--ray":
        return ["--ray", "local"]
    return ["--hardware", "a100"] if "--hardware" in takes and "--target" not in takes else []


def test_values_were_found_in_the_help() -> None:
    found = {(option, value) for _, option, value in _values()}
    assert {("--precision", "fp32"), ("--budget", "800us"), ("--max-params", "2M")} <= found
    assert all(" " not in value for _, value in found)


def test_the_formats_in_the_help_are_those_that_there_are(run: Callable[..., Result]) -> None:
    (option,) = (o for o in COMMANDS[("export",)].params if o.opts == ["--format"])
    named = re.split(r", | or ", option.help.partition(";")[0])
    from nas.export import FORMATS

    assert set(named) == set(FORMATS.names())


@pytest.mark.parametrize("name", [" ".join(path) for path in COMMANDS])
def test_help_is_whole_on_a_usual_terminal(
    name: str, run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No example is cut off, and sentences are broken where the terminal ends."""
    monkeypatch.setenv("COLUMNS", "80")
    shown = run(*name.split(), "--help").output
    assert "Usage: nas" in shown and "\u2026" not in shown
    prose = shown.partition("Example: ")[0].splitlines()
    for line, after in zip(prose[4:], prose[5:], strict=False):
        first = (after.split() or [""])[0]
        if line.strip() and first.isalpha():  # the next word had no room
            assert len(line.rstrip()) + 1 + len(first) > 78, line
