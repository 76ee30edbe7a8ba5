"""One set of versions, wherever they are written."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

import pytest

from nas.commands.doctor import EXTRAS
from nas.export import FORMATS

ROOT = Path(__file__).parents[1]
PINS = dict(
    re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=]", requirement)[0].lower() for requirement in requirements}


def test_every_requirement_is_pinned() -> None:
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    wanted = set().union(*map(names, groups)) - {PROJECT["name"]}
    assert len(wanted) > 20
    assert wanted <= PINS.keys()


def test_no_test_of_an_export_is_skipped_in_scripts_test() -> None:
    extras = PROJECT["optional-dependencies"]
    own = next(each for each in extras["dev"] if each.startswith(PROJECT["name"]))
    assert "onnx" in own.partition("[")[2].rstrip("]").split(",")
    assert {package for format in FORMATS for package in format.packages} <= names(extras["onnx"])


def test_pre_commit_runs_the_ruff_that_is_pinned() -> None:
    assert f"rev: v{PINS['ruff']}\n" in (ROOT / ".pre-commit-config.yaml").read_text()


def test_doctor_knows_the_extras_of_the_project() -> None:
    extras = PROJECT["optional-dependencies"]
    assert EXTRAS.keys() == extras.keys()
    for extra, packages in EXTRAS.items():
        assert set(packages) <= names(extras[extra]), extra


@pytest.mark.parametrize(
    "script", ["scripts/setup-venv", "scripts/quickstart", "scripts/test", ".ci/run"]
)
def test_a_script_can_be_run_and_stops_at_the_first_failure(script: str) -> None:
    assert os.access(ROOT / script, os.X_OK)
    assert "set -euo pipefail\n" in (ROOT / script).read_text()
