"""Imports point down: from the command line through the flow of data to the search spaces.

    cli -> commands -> pipeline -> run -> cluster -> report -> baselines
        -> (retrain, export, bench, space_evolution, ranking) -> (search, latency, data)
        -> (settings, storage, units, ...) -> supernet -> search_spaces

A file may import from its own room and from the floors below. Imports inside functions and for
type checking count too: a reader follows them all the same.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("search_spaces", "supernet", "nas")

# From the top floor to the ground; rooms of one floor do not import each other.
FLOORS = (
    ("nas.cli",),
    ("nas.commands",),
    ("nas.pipeline",),
    ("nas.run",),
    ("nas.cluster",),
    ("nas.timm",),
    ("nas.report",),
    ("nas.baselines",),
    ("nas.retrain", "nas.export", "nas.bench", "nas.space_evolution", "nas.ranking"),
    ("nas.search", "nas.latency", "nas.data", "nas.pretrained"),
    ("nas",),  # settings, results, storage, units, errors and the other modules directly in nas/
    ("supernet",),
    ("search_spaces",),
    ("search_spaces.errors",),
)
LATENCY_FLOORS = (
    ("nas.latency.predictors",),
    ("nas.latency.operations",),
    ("nas.latency.profiles", "nas.latency.gpu.fit"),
    ("nas.latency.gpu",),
    ("nas.latency.timing",),
    ("nas.latency.cost",),
    ("nas.latency.tracing",),
    ("nas.latency.prediction",),
    ("nas.latency.target",),
    ("nas.latency.devices",),
)
SEARCH_FLOORS = (
    ("nas.search.engine", "nas.search.front_file", "nas.search.study"),
    ("nas.search.evaluators", "nas.search.study_places"),
    ("nas.search.searchers",),
    ("nas.search.gradients",),
    ("nas.search.surrogates", "nas.search.foreign", "nas.search.feasibility"),
    ("nas.search.asking",),
    ("nas.search.problem", "nas.search.infeasible"),
    ("nas.search.brief", "nas.search.front", "nas.search.objectives"),
    ("nas.search.protocol", "nas.search.threads", "nas.search.records"),
)
MOST_MODULES_IN_NAS = 11
HOMES = {"ray": "nas/cluster/", "nni": "nas/search/foreign/", "timm": "nas/timm_library.py"}

FILES = {
    path.relative_to(ROOT)
    .with_suffix("")
    .as_posix()
    .removesuffix("/__init__")
    .replace("/", "."): path
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
}


def imported_names(path: Path) -> Iterator[str]:
    """Everything that a file imports, anywhere in it, by its dotted name."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            yield from (f"{node.module}.{name.name}" for name in node.names)


def file_of(name: str) -> str | None:
    """The file that a dotted name lies in; None outside the project."""
    while name:
        if name in FILES:
            return name
        name = name.rpartition(".")[0]
    return None


ARROWS = {
    (name, found)
    for name, path in FILES.items()
    for found in map(file_of, imported_names(path))
    if found is not None and found != name
}


def room_of(name: str, floors: tuple[tuple[str, ...], ...]) -> tuple[int, str] | None:
    """Floor and room of a file: the longest of the rooms' names that it begins with."""
    rooms = [
        (len(room), number, room)
        for number, floor in enumerate(floors)
        for room in floor
        if name == room or name.startswith(f"{room}.")
    ]
    return max(rooms)[1:] if rooms else None


@pytest.mark.parametrize(
    "floors", [FLOORS, LATENCY_FLOORS, SEARCH_FLOORS], ids=["all", "latency", "search"]
)
def test_no_import_points_up_or_sideways(floors: tuple[tuple[str, ...], ...]) -> None:
    wrong = []
    for source, found in sorted(ARROWS):
        here, there = room_of(source, floors), room_of(found, floors)
        if here and there and here != there and there[0] <= here[0]:
            wrong.append(f"{source} imports {found}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "floors", [FLOORS, LATENCY_FLOORS, SEARCH_FLOORS], ids=["all", "latency", "search"]
)
def test_every_room_of_the_floors_exists(floors: tuple[tuple[str, ...], ...]) -> None:
    assert not [room for floor in floors for room in floor if room not in FILES]


def test_every_file_stands_on_a_floor() -> None:
    assert not [name for name in FILES if room_of(name, FLOORS) is None]
    assert {name.partition(".")[0] for name in FILES} == set(PACKAGES)


def test_no_files_import_each_other_in_a_circle() -> None:
    left = {name: {found for source, found in ARROWS if source == name} for name in FILES}
    while free := [name for name, needs in left.items() if not needs & left.keys()]:
        for name in free:
            del left[name]
    # What is left leads into a circle; what nothing of it leads to is only on the way there.
    while way := [n for n in left if not any(n in needs for needs in left.values())]:
        for name in way:
            del left[name]
    assert not left, f"in or between circles: {sorted(left)}"


def test_few_modules_lie_directly_in_nas() -> None:
    loose = {path.stem for path in (ROOT / "nas").glob("*.py")} - {"__init__"}
    assert len(loose) <= MOST_MODULES_IN_NAS, sorted(loose)


@pytest.mark.parametrize(("package", "home"), HOMES.items())
def test_a_heavy_package_is_imported_in_one_place(package: str, home: str) -> None:
    wrong = {
        str(path.relative_to(ROOT))
        for path in FILES.values()
        if not path.relative_to(ROOT).as_posix().startswith(home)
        and package in {name.partition(".")[0] for name in imported_names(path)}
    }
    assert not wrong
