"""The README's commands are ones that there are."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from typer.main import get_command
from typer.testing import Result

from nas.cli import app
from nas.result import RunResult

if TYPE_CHECKING:
    from conftest import FakePipeline


README = (Path(__file__).parents[3] / "README.md").read_text()


def test_commands_in_the_readmes_blocks_run(
    run: Callable[..., Result], pipeline: FakePipeline, found: RunResult
) -> None:
    pipeline.result = found
    whole = README.replace("\\\n", " ")  # a command may go on in the next line
    lines = re.findall(r"^\.venv/bin/nas ([^#\n]*)", whole, flags=re.MULTILINE)
    searches = [line for line in lines if line.startswith("search") and "--dry-run" not in line]
    assert len(searches) == 4
    for line in searches:
        assert run(*shlex.split(line)).exit_code == 0
    for line in lines:  # the others run for real elsewhere
        assert run(*shlex.split(line), "--help").exit_code == 0


def test_commands_in_the_readmes_table_exist() -> None:
    known = get_command(app).commands.keys()  # type: ignore[attr-defined]
    rows = re.findall(r"^\| (`nas .*?) \|", README, flags=re.MULTILINE)
    named = {word for row in rows for word in re.findall(r"`(?:nas )?([a-z-]+)", row)}
    assert len(named) >= 12
    assert named <= known


def test_the_two_commands_at_the_top_are_there() -> None:
    root = Path(__file__).parents[3]
    for script in ("scripts/quickstart", "scripts/test"):
        assert script in README
        assert (root / script).stat().st_mode & 0o111
