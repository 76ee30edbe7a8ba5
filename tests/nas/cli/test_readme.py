"""What README.md and docs/*.md tell a person to type works.

Python runs in a fresh interpreter beside a run that is small but real. Commands that take seconds
run for real; the others are parsed, with the pipeline replaced.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.main import get_command
from typer.testing import Result

from nas import pipeline as real_pipeline
from nas.cli import app
from nas.settings import Settings

if TYPE_CHECKING:
    from conftest import Recorder

ROOT = Path(__file__).parents[3]
PAGES = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    if path.name != "add-a-mixer.md"  # its files belong together: tests/test_add_a_mixer.py
}
README = PAGES["README.md"]
SMALL = {"epochs": 1, "evaluations": 6, "retrain_epochs": 1, "lag": 2, "hardware": "a100"}
"""Settings of a run that takes seconds and measures nothing."""


def fenced(text: str) -> list[tuple[str, str]]:
    """The language and the text of every block of a page."""
    parts = re.split(r"^```(\w*)\n", text, flags=re.MULTILINE)  # outside, "bash", inside, "", ...
    return list(zip(parts[1::4], parts[2::4], strict=True))


def blocks(language: str) -> list[tuple[str, str]]:
    """The page and the text of every block in a language."""
    return [
        (page, block)
        for page, text in PAGES.items()
        for found, block in fenced(text)
        if found == language
    ]


def commands() -> list[str]:
    """The arguments of every call of `nas` in the pages' shell blocks."""
    whole = "\n".join(block for _, block in blocks("bash")).replace("\\\n", " ")
    return re.findall(r"^(?:\.venv/bin/)?nas ([^#\n]*)", whole, flags=re.MULTILINE)


PYTHON = blocks("python")
COMMANDS = commands()
QUICK = [line for line in COMMANDS if line.startswith(("predict", "bench")) or "--dry-run" in line]
"""Commands that take seconds as they stand, `bench` on a small table."""


@pytest.fixture(scope="module")
def folder(home: Path) -> Path:
    """Where a small quickstart was run: `results/quickstart`, exported."""
    settings = Settings(
        space=str(home / "minute.yaml"), data=f"npz:{home / 'images.npz'}", budget_ms=5.0, **SMALL
    )
    real_pipeline.run(settings, out=home / "results" / "quickstart")
    return home


@pytest.mark.parametrize("block", [text for _, text in PYTHON])
def test_python_runs_in_a_fresh_interpreter(block: str, folder: Path) -> None:
    (network,) = (folder / "results" / "quickstart" / "networks").iterdir()
    small = ", ".join(f"{name}={value!r}" for name, value in SMALL.items())
    images = f'data="npz:images.npz", space="minute.yaml", {small}'
    program = block.replace("<id>", network.name).replace('data="digits"', images)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, f"{program}\n{done.stderr}"


@pytest.mark.parametrize("line", QUICK)
def test_a_command_that_takes_seconds_runs(line: str, run: Callable[..., Result]) -> None:
    rows = (f"{i % 4},{i // 4},{50 + i},{20 - i}" for i in range(16))
    columns = "op_0,op_1,acc_cifar10,lat_titanx_32"
    Path("TABLE.csv").write_text("\n".join([columns, *rows]) + "\n")
    # A table has to have more rows than are evaluated.
    result = run(*shlex.split(line.replace("--evaluations 200", "--evaluations 8")))
    assert result.exit_code == 0, result.stderr
    assert result.stdout


@pytest.mark.parametrize("line", [line for line in COMMANDS if line not in QUICK])
def test_a_command_that_takes_minutes_is_understood(
    line: str, run: Callable[..., Result], called: Recorder
) -> None:
    arguments = shlex.split(line) if line.startswith("search") else [*shlex.split(line), "--help"]
    result = run(*arguments)
    assert result.exit_code == 0, result.stderr


def test_every_kind_of_block_was_found() -> None:
    without = {"docs/cluster-training.md", "docs/training.md"}
    assert {page for page, _ in PYTHON} == PAGES.keys() - without
    assert QUICK and len(COMMANDS) > len(QUICK)
    languages = {language for text in PAGES.values() for language, _ in fenced(text)}
    assert languages <= {"", "bash", "python"}


def test_commands_in_the_table_exist() -> None:
    known = get_command(app).commands.keys()  # type: ignore[attr-defined]
    rows = re.findall(r"^\| (`nas .*?) \|", README, flags=re.MULTILINE)
    named = {word for row in rows for word in re.findall(r"`(?:nas )?([a-z-]+)", row)}
    assert named == known


def test_every_path_that_the_pages_link_to_exists() -> None:
    for page, text in PAGES.items():
        for link in re.findall(r"\]\(([^)#]+)", text):
            if "://" not in link:
                assert ((ROOT / page).parent / link).exists(), f"{page}: {link}"


def test_every_folder_and_file_in_the_readmes_map_exists() -> None:
    (drawn,) = (block for page, block in blocks("") if page == "README.md" and "tests/" in block)
    top = ROOT
    for line in drawn.splitlines():
        words = [word.strip(",;()") for word in line.split()]
        named = [word for word in words if word.endswith(("/", ".py"))]
        top = top if line.startswith(" ") else ROOT / named[0]
        for name in named:
            homes = (ROOT, top, top / named[0])
            assert any((home / name).exists() for home in homes), f"{name} in: {line}"


def test_the_scripts_at_the_top_can_be_run() -> None:
    named = re.findall(r"^scripts/\S+", README, flags=re.MULTILINE)
    assert len(named) == 2
    for script in named:
        assert (ROOT / script).stat().st_mode & 0o111
        subprocess.run(["bash", "-n", ROOT / script], check=True)
