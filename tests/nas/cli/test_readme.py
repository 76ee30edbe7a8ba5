"""The README's commands: they run for real where that takes seconds."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.main import get_command
from typer.testing import Result

from nas.cli import app

if TYPE_CHECKING:
    from conftest import Recorder

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text()
WHOLE = README.replace("\\\n", " ")  # a command may go on in the next line
LINES = [
    line.strip() for line in re.findall(r"^\.venv/bin/nas ([^#\n]*)", WHOLE, flags=re.MULTILINE)
]
SLOW = [
    line
    for line in LINES
    if line.startswith("evolve-space") or (line.startswith("search") and "--dry-run" not in line)
]
"""Those that train a supernet."""


def test_the_readme_has_commands_of_both_kinds() -> None:
    assert SLOW
    assert len(SLOW) < len(LINES)


@pytest.mark.parametrize("line", SLOW)
def test_a_command_that_trains_is_understood(
    run: Callable[..., Result], called: Recorder, line: str
) -> None:
    result = run(*shlex.split(line))
    assert result.exit_code == 0, result.stderr
    assert len(called.calls) == 1


@pytest.mark.parametrize("line", [line for line in LINES if line not in SLOW])
def test_a_quick_command_runs(
    run: Callable[..., Result],
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    line: str,
) -> None:
    monkeypatch.setenv("NAS_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
    rows = (f"{i % 4},{i // 4},{50 + i},{20 - i}" for i in range(16))
    columns = "op_0,op_1,acc_cifar10,lat_titanx_32"
    Path("TABLE.csv").write_text("\n".join([columns, *rows]) + "\n")
    words = shlex.split(line)
    if "--evaluations" in words:  # as many as the table has
        words[words.index("--evaluations") + 1] = "8"
    result = run(*words)
    assert result.exit_code == 0, result.stderr
    assert result.stdout


def test_commands_in_the_readmes_table_exist() -> None:
    known = get_command(app).commands.keys()  # type: ignore[attr-defined]
    rows = re.findall(r"^\| (`nas .*?) \|", README, flags=re.MULTILINE)
    named = {word for row in rows for word in re.findall(r"`(?:nas )?([a-z-]+)", row)}
    assert named
    assert named <= known


def test_the_two_commands_at_the_top_are_there() -> None:
    for script in ("scripts/quickstart", "scripts/test"):
        assert script in README
        assert (ROOT / script).stat().st_mode & 0o111
