"""Networks as people name them."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.commands.network import NamedArchitecture, architecture_named
from nas.errors import RunError
from nas.run.folder import open_run
from nas.settings import Settings
from search_spaces import load_space


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


def test_a_member_brings_what_its_run_searched() -> None:
    space = load_space("photo-mobile")
    of_run = Settings(space="photo-mobile", data="digits", resolutions=(48, 64), resolution=48)
    named = NamedArchitecture(space.decode(space.smallest()), of_run)
    found = named.completed(Settings(hardware="a100", resolution=None, resolutions=None))
    assert (found.space, found.data) == ("photo-mobile", "digits")
    assert (found.resolutions, found.resolution) == ((48, 64), 48)
    asked = named.completed(Settings(space="photo-hybrid", resolution=64))
    assert (asked.space, asked.resolutions, asked.resolution) == ("photo-hybrid", None, 64)
