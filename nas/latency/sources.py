"""A fingerprint of the programs behind a kept result, so that a changed program makes it anew."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path


@cache
def fingerprint(modules: tuple[str, ...], packages: tuple[str, ...]) -> str:
    """A hash of the files of imported modules and of what they import within packages.

    Args:
        modules: Full names, such as `search_spaces.parts`.
        packages: Beginnings of the names of modules that count.
    """
    digest = hashlib.sha256()
    for name in sorted(_reached(modules, packages)):
        digest.update(_source(name))
    return digest.hexdigest()[:16]


def _reached(modules: Sequence[str], packages: tuple[str, ...]) -> set[str]:
    reached: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += [m for m in _imports(name) if m.startswith(packages)]
    return reached


@cache
def _imports(name: str) -> tuple[str, ...]:
    """The modules that one imports anywhere in its file."""
    return tuple(_imported_in(ast.parse(_source(name)), name))


def _imported_in(tree: ast.Module, name: str) -> Iterator[str]:
    package = getattr(sys.modules.get(name), "__package__", None) or name.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            relative = "." * node.level + (node.module or "")
            home = importlib.util.resolve_name(relative, package)
            yield home
            yield from (f"{home}.{alias.name}" for alias in node.names)


@cache
def _source(name: str) -> bytes:
    """The text of a module; nothing where the name is none, or its file no Python."""
    file = getattr(sys.modules.get(name), "__file__", None) or _found(name)
    return Path(file).read_bytes() if file and file.endswith(".py") else b""


def _found(name: str) -> str | None:
    """The file of a module that was not imported yet."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):  # the name of a function or a class
        return None
    return spec.origin if spec else None
