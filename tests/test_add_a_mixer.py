"""The tutorial docs/add-a-mixer.md works: its files are made and its commands run, in order."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "add-a-mixer.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
PROGRAMS = {
    ".venv/bin/python": f"{sys.executable}",
    ".venv/bin/nas": f"{sys.executable} -c 'from nas.cli import main; main()'",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project, because the tutorial adds files to it."""
    for name in ("search_spaces", "supernet", "nas", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def done(command: str | list[str], project: Path) -> str:
    """What a command printed, once it has ended well."""
    result = subprocess.run(
        command,
        cwd=project,
        shell=isinstance(command, str),
        capture_output=True,
        text=True,
        env=os.environ
        | {"PYTHONPATH": str(project), "NAS_CACHE_DIR": str(project / "cache"), "COLUMNS": "100"},
    )
    assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
    return result.stdout


def test_the_tutorial_makes_a_mixer_that_passes_and_is_searched(project: Path) -> None:
    printed = []
    for language, text in BLOCKS:
        first, _, _ = text.partition("\n")
        if first.startswith("# ") and "/" in first or language == "yaml":
            (project / first.removeprefix("# ")).write_text(text.partition("\n")[2])
        elif language == "python":
            done([sys.executable, "-W", "error", "-c", text], project)
        else:
            for name, program in PROGRAMS.items():
                text = text.replace(name, program)
            printed.append(done(text, project))
    tests, shown, outlook = printed
    assert " passed" in tests and "failed" not in tests
    assert "y = W s(x)" in shown and "MACs per token: 4,096" in shown
    assert "a100" in outlook
