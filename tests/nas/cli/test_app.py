from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from typer.testing import Result

from nas import __version__
from nas.errors import DataError, StorageError

if TYPE_CHECKING:
    from conftest import Recorder

SEARCHING = ("search", "evolve-space", "resume", "ls", "report")
STEPPING = ("train", "measure", "predict", "rank", "retrain", "export")
LISTING = ("spaces", "mixers", "searchers", "bench", "hardware", "doctor")
COMMANDS = (*SEARCHING, *STEPPING, *LISTING)


def test_the_help_lists_every_command(run: Callable[..., Result]) -> None:
    result = run("--help")
    assert result.exit_code == 0
    for command in COMMANDS:
        assert f" {command} " in result.output


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(
    run: Callable[..., Result], command: str
) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"Example: nas {command}" in result.output
    assert "--json" in result.output


@pytest.mark.parametrize(
    ("command", "asleep"),
    [("search", True), ("resume", True), ("rank", True), ("predict", False), ("measure", False)],
)
def test_idle_threads_sleep_where_networks_are_trained_not_where_they_are_timed(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, command: str, asleep: bool
) -> None:
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.setenv(name, "")  # so that it is put back afterwards
        monkeypatch.delenv(name)
    run(command, "--help")
    assert ("GOMP_SPINCOUNT" in os.environ) == asleep


def test_the_version_is_printed(run: Callable[..., Result]) -> None:
    assert run("--version").output == f"nas {__version__}\n"


@pytest.mark.parametrize("arguments", [["--help"], ["hardware"], ["ls"]])
def test_what_must_be_quick_imports_no_torch(arguments: list[str]) -> None:
    code = f"""
import sys
sys.argv = ["nas", *{arguments!r}]
from nas.cli import main
try:
    main()
except SystemExit as done:
    assert not done.code, done.code
heavy = {{"torch", "timm", "sklearn", "optuna", "matplotlib", "scipy"}} & set(sys.modules)
assert not heavy, heavy
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["serach"], "No such command 'serach'"),
        (["search", "--bugdet", "5ms"], "No such option"),
        (["search", "--evaluations", "0"], "Invalid value for '--evaluations'"),
        (["search", "--until", "lunch"], "'lunch' is not one of"),
        (["search", "--budget", "5"], "The duration '5' has no unit; write 5ms"),
        (["search", "--budget", "-1ms"], "'-1ms' is not a positive finite amount"),
        (["search", "--max-memory", "5"], "The memory '5' has no unit; write 5MiB"),
        (["search", "--metric", "f1"], "metric: input should be 'accuracy'"),
        (["search", "--recipe", "lr"], "--recipe 'lr': write KEY=VALUE, such as epochs=30"),
        (
            ["search", "--hardware", "cpx"],
            "Unknown hardware 'cpx'. Did you mean 'cpu'? Known: a10, a100,",
        ),
        (["hardware", "cpx"], "Unknown hardware 'cpx'. Did you mean 'cpu'?"),
        (["hardware", "add", "none.yaml"], "Cannot read the device file 'none.yaml'"),
        (
            ["predict", "x", "--hardware", "a100x"],
            "Unknown hardware 'a100x'. Did you mean 'a100'?",
        ),
        (["resume"], "Missing argument"),
    ],
)
def test_wrong_input_exits_with_two_and_one_message(
    run: Callable[..., Result], called: Recorder, arguments: list[str], message: str
) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert called.calls == []


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (DataError("Only one class."), 2, "Only one class.\n"),
        (StorageError("The disk is full."), 1, "The disk is full.\nContinue with: nas resume x\n"),
        (
            OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "file"),
            1,
            "The disk is full (No space left on device): 'file' was not written",
        ),
        (
            KeyError("id"),
            1,
            "Something went wrong that should not have (KeyError: 'id'). "
            "Run it again with --debug for the traceback.\nContinue with: nas resume x\n",
        ),
        (OSError(errno.EIO, "Input/output error"), 1, "Input/output error"),
        (
            PermissionError(errno.EACCES, "Permission denied", "/closed/file"),
            2,
            "'/closed/file' cannot be used: Permission denied. Give yourself the rights to it",
        ),
        (
            FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']"),
            2,
            "Set TMPDIR to a folder that can.",
        ),
        (KeyboardInterrupt(), 130, "Interrupted. Continue with: nas resume x\n"),
    ],
)
def test_an_error_ends_in_one_message_and_its_exit_code(
    run: Callable[..., Result],
    called: Recorder,
    error: BaseException,
    code: int,
    message: str,
) -> None:
    error.add_note("Continue with: nas resume x")
    called.error = error
    result = run("train")
    assert result.exit_code == code
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_debug_shows_the_traceback(run: Callable[..., Result], called: Recorder) -> None:
    called.error = KeyError("id")
    result = run("--debug", "train")
    assert result.exit_code == 1
    assert "Traceback" in result.stderr


def test_debug_may_stand_anywhere() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", "from nas.cli import main; main()", "resume", "none", "--debug"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "No such option" not in ran.stderr
    assert "Traceback" in ran.stderr
