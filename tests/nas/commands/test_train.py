"""`nas train`: stopped, it says how to continue."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from nas.commands.steps import train
from nas.errors import Stopped
from nas.progress import Advance, Silent
from nas.settings import Settings


@pytest.mark.parametrize("end", [KeyboardInterrupt(), Stopped(15)])
def test_a_stopped_training_says_how_to_continue(home: Path, end: BaseException) -> None:
    class Stops(Silent):
        def task(self, what: str, total: int) -> AbstractContextManager[Advance]:
            raise end

    settings = Settings(space=str(home / "minute.yaml"), data=f"npz:{home / 'images.npz'}")
    with pytest.raises(KeyboardInterrupt) as stopped:
        train(settings, console=Stops())
    assert stopped.value.__notes__ == [
        "Run the same command again to continue from its last checkpoint."
    ]
