"""Writes the figures of the scripts in this folder, with all their conditions."""

from __future__ import annotations

import json
import re
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Any

from nas.environment import environment
from nas.storage import atomic_write

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results"


def write(folder: str, name: str, figures: dict[str, Any], **more: Any) -> Path:
    """Write `results/<folder>/<name>.json`: command, environment, figures and `more`."""
    document = {
        "command": shlex.join(["python", f"scripts/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
        "figures": figures,
        **more,
        "environment": environment(),
    }
    path = RESULTS / folder / f"{name}.json"
    atomic_write(path, without_places(json.dumps(document, indent=2)) + "\n")
    print(json.dumps(figures, indent=2))
    print(f"written to {path}")
    return path


def without_places(text: str) -> str:
    """Leave out paths of this machine, which mean nothing on another."""
    text = re.sub(r"(fashion-mnist|cifar10|folder|npz):[^\s\"]+", r"\1:DIR", text)
    for given in (argument for argument in sys.argv[1:] if argument.startswith("/")):
        text = text.replace(given, Path(given).name)
    for here in (ROOT, Path.cwd()):
        text = text.replace(f"{here}/", "")
    for place in {ROOT, Path.cwd(), Path.home(), Path(tempfile.gettempdir())} - {Path("/")}:
        text = re.sub(rf"(?<![\w.-]){re.escape(str(place))}(/[^\s\"\']*)?(?![\w.-])", "DIR", text)
    return text
