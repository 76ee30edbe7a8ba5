"""What timm has to know of exported networks: names, and an index in the cache, a file per id.

<cache>/exports/<id>.json       {"schema": 1, "id": ..., "folder": ...}
"""

from __future__ import annotations

import json
from pathlib import Path

from nas.storage import atomic_write, cache_dir

ENTRY = "nas_network"
"""The name under which timm knows any network of ours."""
CLASSIFIER = "head.body.classifier"
"""The module of a network that gives the scores."""
CONFIG_FILE = "config.json"
"""The file in an exported folder that timm reads."""


def remember(id: str, folder: Path) -> None:
    """Note that a network was exported to a folder; its latest export counts."""
    document = {"schema": 1, "id": id, "folder": str(folder.absolute())}
    atomic_write(_index() / f"{id}.json", json.dumps(document, indent=2) + "\n")


def exports() -> dict[str, Path]:
    """The folder of each exported network that still exists, by id."""
    found = {}
    for file in sorted(_index().glob("*.json")):
        try:
            folder = Path(json.loads(file.read_text())["folder"])
            if (folder / CONFIG_FILE).is_file():
                found[file.stem] = folder
        except (OSError, ValueError, KeyError, TypeError):
            continue  # exporting again mends a damaged entry, so it must not stop the others
    return found


def _index() -> Path:
    return cache_dir() / "exports"
