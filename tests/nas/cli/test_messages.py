"""What a person reads when a file cannot be opened holds words, not Python's error numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

FOLDERS_AND_GAPS = ["/nonexistent.yaml", "/"]


@pytest.mark.parametrize("place", FOLDERS_AND_GAPS)
@pytest.mark.parametrize(
    "words",
    [
        "hardware add {}",
        "predict {} --hardware a100",
        "measure --import {} --kit {} --hardware jetson-nano",
        "bench --table {} --code-columns c --maximize a --minimize b",
        "search --space {} --hardware a100 --budget 5ms --dry-run",
        "search --data folder:{} --dry-run --hardware a100",
        "search --data npz:{} --dry-run --hardware a100",
        "resume {}",
        "ls {}",
    ],
)
def test_a_file_that_cannot_be_opened_is_named_in_words(
    run: Callable[..., Result], words: str, place: str, tmp_path: Path
) -> None:
    found = run(*words.replace("{}", place).split())
    said = found.stderr
    assert found.exit_code in (0, 2), said
    assert "Errno" not in said and "Something went wrong" not in said
    assert found.exit_code == 0 or place in said
