"""`nas search --dry-run` from the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

DRY = ("search", "--space", "macro", "--hardware", "a100", "--dry-run")


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))


def test_a_dry_run_says_what_is_possible_and_makes_no_run(
    run: Callable[..., Result], tmp_path: Path
) -> None:
    result = run(*DRY, "--budget", "1s")
    assert result.exit_code == 0, result.stderr
    assert "a100 (eager, fp16, channels_last, batch 1" in result.stdout
    assert "The budget does not bind" in result.stdout
    assert "fastest" in result.stdout
    assert not list(tmp_path.iterdir())


def test_a_dry_run_prints_one_json_document(run: Callable[..., Result]) -> None:
    result = run(*DRY, "--budget", "1s", "--confidence", "0.8", "--json")
    document = json.loads(result.stdout)
    assert document["confidence"] == 0.8
    assert document["binds"] is False


def test_a_budget_that_nothing_keeps_is_wrong_input(run: Callable[..., Result]) -> None:
    result = run(*DRY, "--budget", "1ns")
    assert result.exit_code == 2
    assert "No architecture of 'macro' runs within" in result.stderr
    assert "the fastest of 20,000 is predicted to take up to" in result.stderr
    assert not result.stdout


def test_a_dry_run_takes_no_folder_and_no_steps(run: Callable[..., Result]) -> None:
    result = run(*DRY, "--out", "x", "--until", "search")
    assert result.exit_code == 2
    assert "leave out --out and --until, or --dry-run" in result.stderr


def test_a_confidence_beyond_what_is_known_is_refused(run: Callable[..., Result]) -> None:
    assert run(*DRY, "--confidence", "0.3").exit_code == 2
