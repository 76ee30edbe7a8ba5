from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import Result

from nas.settings import Settings

if TYPE_CHECKING:
    from conftest import Recorder


@pytest.mark.parametrize(
    ("text", "name", "more", "options"),
    [
        ("measure --hardware a100", "measure", (), {"seconds": None, "ray": None}),
        ("measure --hardware a100 --seconds 5", "measure", (), {"seconds": 5.0, "ray": None}),
        ("measure --hardware a100 --kit k", "write_kit", (Path("k"),), {}),
        ("measure --hardware a100 --kit k --import t", "import_times", (Path("t"), Path("k")), {}),
    ],
)
def test_a_kit_is_written_or_its_times_are_taken(
    run: Callable[..., Result],
    called: Recorder,
    text: str,
    name: str,
    more: tuple[Any, ...],
    options: dict[str, Any],
) -> None:
    assert run(*text.split()).exit_code == 0
    assert called.calls == [(name, (Settings(hardware="a100"), *more), options)]


def test_a_kit_is_not_measured_here(run: Callable[..., Result], called: Recorder) -> None:
    result = run("measure", "--kit", "k", "--seconds", "5")
    assert result.exit_code == 2
    assert "--seconds is for measuring on this machine" in result.stderr
    assert called.calls == []


def test_a_gpu_that_is_not_at_hand_is_refused_with_what_to_do(run: Callable[..., Result]) -> None:
    result = run("measure", "--hardware", "a100")
    assert result.exit_code == 2
    assert "a100 is not at hand, so it cannot be measured" in result.stderr


def test_times_without_their_kit_are_refused(run: Callable[..., Result], called: Recorder) -> None:
    result = run("measure", "--import", "times.csv")
    assert result.exit_code == 2
    assert "--import needs --kit DIR as well" in result.stderr
    assert called.calls == []
