"""`config.json`, which timm reads, and the index by which timm finds exported networks by name.

    timm.create_model("local-dir:FOLDER", pretrained=True)     once `import nas.timm` has run
    timm.create_model("nas_<id>", pretrained=True)             the latest export of that id

The index is in the cache: a small file per id that says where the export is.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from nas.export.description import ExportDescription
from nas.export.verification import check_same
from nas.storage import atomic_write, cache_dir
from search_spaces.network import Network

CONFIG_FILE = "config.json"
ENTRY = "nas_network"
"""The name under which `nas.timm` registers any network of ours."""

CLASSIFIER = "head.body.classifier"


def write(network: Network, description: ExportDescription, folder: Path) -> Path:
    """Write `config.json` and check that timm builds the same network from the folder."""
    file = folder / CONFIG_FILE
    file.write_text(json.dumps(config(network, description), indent=2) + "\n")

    import nas.timm

    timms_own = nas.timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    check_same(network, timms_own, "The copy that timm loads")
    return file


def config(network: Network, description: ExportDescription) -> dict[str, Any]:
    """The content of `config.json`, laid out as timm's own `save_for_hf` does."""
    data, architecture = description.data, description.architecture
    return {
        "architecture": ENTRY,
        "num_classes": network.num_classes,
        "num_features": network.get_submodule(CLASSIFIER).in_features,
        "label_names": list(data.classes),
        "model_args": {"architecture": architecture.to_dict()},
        "pretrained_cfg": {
            "tag": architecture.id,
            "custom_load": False,
            "input_size": [data.in_channels, architecture.resolution, architecture.resolution],
            "fixed_input_size": False,
            "interpolation": "bilinear",
            "crop_pct": 1.0,
            "crop_mode": "squash",
            "mean": list(data.mean),
            "std": list(data.std),
            "num_classes": network.num_classes,
            "pool_size": None,
            "first_conv": None,
            "classifier": CLASSIFIER,
        },
    }


def note(id: str, folder: Path) -> None:
    """Remember where a network was exported to, for `nas_<id>`."""
    document = {"schema": 1, "id": id, "folder": str(folder.absolute())}
    atomic_write(_index() / f"{id}.json", json.dumps(document, indent=2) + "\n")

    import nas.timm

    nas.timm.register_exports()


def exports() -> dict[str, Path]:
    """The folder of each exported network that still exists, by id."""
    found = {}
    for file in sorted(_index().glob("*.json")):
        try:
            folder = Path(json.loads(file.read_text())["folder"])
        except (OSError, ValueError, KeyError, TypeError):
            continue  # an index can be made anew; a damaged line of it must not stop anyone
        if (folder / CONFIG_FILE).is_file():
            found[file.stem] = folder
    return found


def _index() -> Path:
    return cache_dir() / "exports"
