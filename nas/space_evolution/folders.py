"""The folder of an evolution: a new one, or one that holds the same evolution."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from nas.errors import RunError, SettingsError
from nas.settings import Settings
from nas.storage import check_folder, check_free, read_json, storing

_UNBORN = {"run.lock", "space-0.yaml"}
"""What a folder may hold if its evolution was stopped before `evolution.json` was written."""


def check(folder: Path, asked: dict[str, Any]) -> None:
    """Refuse a folder that is of no use for this evolution; nothing is made.

    Args:
        asked: What decides its result.

    Raises:
        SettingsError: it holds an evolution that was asked for something else; says what differs.
        RunError: it is a file, holds something else, is in use, or cannot be written to.
    """
    check_folder(folder, "Choose a folder with --out.")
    with storing(folder):
        _refuse_other(folder, asked)
    check_free(folder / "run.lock")


def _refuse_other(folder: Path, asked: dict[str, Any]) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise RunError(f"'{folder}' is a file. Choose a folder with --out.")
    if not (folder / "evolution.json").exists():
        others = sorted(
            entry.name
            for entry in folder.iterdir()
            if entry.name not in _UNBORN and not entry.name.endswith(".tmp")
        )
        if others:
            raise RunError(
                f"'{folder}' is not empty and holds no evolution of a space (it holds "
                f"'{others[0]}'). Choose another folder with --out."
            )
        return
    before = read_json(folder / "evolution.json").get("asked", {})
    now = json.loads(json.dumps(asked))
    different = [key for key in now if before.get(key) != now[key]]
    if different:
        listed = "\n  ".join(f"{key}: {before.get(key)} -> {now[key]}" for key in different)
        raise SettingsError(
            f"The evolution in '{folder}' was asked for something else:\n  {listed}\n"
            "Continue it as it was, or choose another folder with --out."
        )


def fresh_folder(parent: Path, settings: Settings) -> Path:
    """The path of a new folder."""
    name = f"evolve-{Path(settings.space or '').stem}-{settings.data.partition(':')[0]}"
    path, number = parent / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}", 1
    while path.exists():
        number += 1
        path = path.with_name(f"{name}-{time.strftime('%Y%m%d-%H%M%S')}-{number}")
    return path
