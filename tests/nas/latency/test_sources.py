"""A fingerprint changes with every file that decides a result, and with no other."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nas.latency import sources

FILES = {
    "__init__.py": "",
    "mixer.py": "from toys.helper import SIDE\nfrom . import relative\nimport json\n",
    "helper.py": "SIDE = 3\n",
    "relative.py": "def later():\n    import toys.lazy\n",
    "lazy.py": "",
    "other.py": "import toys.mixer\n",
}


@pytest.fixture
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package of files that import each other."""
    folder = tmp_path / "toys"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "toys"]:
        del sys.modules[name]


def _fingerprint() -> str:
    """As a new process computes it."""
    for cached in (sources.fingerprint, sources._imports, sources._source):
        cached.cache_clear()
    importlib.invalidate_caches()
    importlib.import_module("toys.mixer")
    return sources.fingerprint(("toys.mixer",), ("toys",))


@pytest.mark.parametrize("name", ["mixer.py", "helper.py", "relative.py", "lazy.py"])
def test_a_change_to_what_a_module_imports_shows(toys: Path, name: str) -> None:
    before = _fingerprint()
    with (toys / name).open("a") as file:
        file.write("# changed\n")
    assert _fingerprint() != before


def test_a_change_to_what_imports_the_module_does_not_show(toys: Path) -> None:
    before = _fingerprint()
    (toys / "other.py").write_text("import toys.mixer  # changed\n")
    assert _fingerprint() == before


def test_only_given_packages_count(toys: Path) -> None:
    before = _fingerprint()
    assert sources.fingerprint(("toys.mixer",), ("toys.", "json")) != before
