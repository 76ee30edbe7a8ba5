"""Imports point one way, search_spaces <- supernet <- nas, and heavy packages have one home."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("search_spaces", "supernet", "nas")
FILES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]

# What a folder must not import, and the one place that may import a package.
FORBIDDEN = {"search_spaces": {"supernet", "nas"}, "supernet": {"nas"}, "nas": set()}
HOMES = {"ray": "nas/cluster/", "nni": "nas/search/foreign/", "timm": "nas/timm_library.py"}


def imported(path: Path) -> Iterator[str]:
    """The top-level packages that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            yield (node.module or "").partition(".")[0]


def test_the_walk_reads_every_package() -> None:
    assert len(FILES) > 60
    for package in PACKAGES:
        assert any(path.is_relative_to(ROOT / package) for path in FILES), package


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_point_one_way(package: str) -> None:
    wrong = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in FILES
        if path.is_relative_to(ROOT / package)
        for name in FORBIDDEN[package] & set(imported(path))
    }
    assert not wrong


@pytest.mark.parametrize(("package", "home"), HOMES.items())
def test_a_heavy_package_is_imported_in_one_place(package: str, home: str) -> None:
    wrong = {
        str(path.relative_to(ROOT))
        for path in FILES
        if not path.relative_to(ROOT).as_posix().startswith(home) and package in imported(path)
    }
    assert not wrong
