"""Inside `nas/search`, imports point from the searchers down to the protocol, never back."""

from __future__ import annotations

import ast
from pathlib import Path

import nas.search

ROOT = Path(nas.search.__file__).parent
FLOORS = (
    {"protocol", "threads", "records"},
    {"brief", "front", "objectives"},
    {"problem", "infeasible"},
    {"asking"},
    {"surrogates", "foreign", "feasibility"},
    {"gradients"},
    {"searchers"},
    {"engine", "front_file", "study"},
)
"""What stands on one floor imports from the floors above it in this list, not from each other."""


def imported(path: Path) -> set[str]:
    """The rooms of `nas.search` that a file imports."""
    modules = [
        node.module
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module
    ]
    return {m.split(".")[2] for m in modules if m.startswith("nas.search.")}


def rooms() -> dict[str, list[Path]]:
    """Every module and folder directly in `nas/search`, with its files."""
    found = {path.stem: [path] for path in ROOT.glob("*.py") if path.stem != "__init__"}
    folders = {path.parent for path in ROOT.glob("*/*.py")}
    return found | {folder.name: sorted(folder.rglob("*.py")) for folder in folders}


def test_every_room_has_a_floor() -> None:
    assert set().union(*FLOORS) == set(rooms())


def test_imports_point_down() -> None:
    floor = {room: number for number, on_it in enumerate(FLOORS) for room in on_it}
    wrong = {
        f"{path.relative_to(ROOT)} imports {other}"
        for room, files in rooms().items()
        for path in files
        for other in imported(path) - {room}
        if floor[other] >= floor[room]
    }
    assert not wrong
