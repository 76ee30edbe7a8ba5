from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import Result

from nas.settings import Settings

if TYPE_CHECKING:
    from conftest import FakePipeline


@pytest.mark.parametrize(
    ("text", "name", "more"),
    [
        ("measure --hardware a100", "measure", ()),
        ("measure --hardware a100 --kit k", "write_kit", (Path("k"),)),
        ("measure --hardware a100 --kit k --import t", "import_times", (Path("t"), Path("k"))),
    ],
)
def test_a_kit_is_written_or_its_times_are_taken(
    run: Callable[..., Result],
    pipeline: FakePipeline,
    text: str,
    name: str,
    more: tuple[Any, ...],
) -> None:
    assert run(*text.split()).exit_code == 0
    assert pipeline.calls == [(name, (Settings(hardware="a100"), *more), {})]


def test_times_without_their_kit_are_refused(
    run: Callable[..., Result], pipeline: FakePipeline
) -> None:
    result = run("measure", "--import", "times.csv")
    assert result.exit_code == 2
    assert "--import needs --kit DIR as well" in result.stderr
    assert pipeline.calls == []
