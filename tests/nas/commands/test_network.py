"""Networks as people name them."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.commands.network import architecture_named
from nas.errors import RunError
from nas.run.folder import open_run
from nas.settings import Settings


@pytest.mark.parametrize("separator", ["/", ":"])
def test_a_run_whose_name_has_colons_is_found(tmp_path: Path, separator: str) -> None:
    run = tmp_path / "run_12:30:00"
    open_run(Settings(), run).close()
    with pytest.raises(RunError, match="run_12:30:00' has no front yet"):
        architecture_named(f"{run}{separator}0123456789ab")


def test_a_run_without_a_member_is_told(tmp_path: Path) -> None:
    run = tmp_path / "run_12:30:00"
    open_run(Settings(), run).close()
    with pytest.raises(RunError, match="is a run. Name a network of its front: .*:00/ID"):
        architecture_named(str(run))
