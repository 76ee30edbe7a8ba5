"""`config.json`, from which timm builds the network and loads its weights.

timm.create_model("local-dir:FOLDER", pretrained=True)     once `import nas.timm` has run
timm.create_model("nas_<id>", pretrained=True)             the latest export of that id
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from nas.export.description import ExportDescription
from nas.export.format import FORMATS, Export, Format, Run
from nas.export.timm_index import CLASSIFIER, CONFIG_FILE, ENTRY, remember
from nas.reading import Fit

CROP_MODES: dict[Fit, str] = {"crop": "center", "squash": "squash", "pad": "border"}
"""timm's word for each way to make images square. Its `border` pads with the mean, which is the
colour of our margins (`Normalisation.of`)."""


def write(export: Export) -> None:
    """Write `config.json`."""
    (export.folder / CONFIG_FILE).write_text(json.dumps(config(export), indent=2) + "\n")


def load(file: Path) -> Run:
    """The network that timm builds from the file's folder."""
    from nas.export.timm_models import register  # imports timm, which takes seconds
    from nas.timm_library import create_model

    register()
    return create_model(f"local-dir:{file.parent}", pretrained=True).eval()


def config(export: Export) -> dict[str, Any]:
    """The content of `config.json`, laid out as timm's own `save_for_hf` does."""
    data, architecture = export.description.data, export.description.architecture
    classes = export.network.data_shape.classes
    return {
        "architecture": ENTRY,
        "num_classes": classes,
        "num_features": export.network.get_submodule(CLASSIFIER).in_features,
        "label_names": list(data.classes),
        "model_args": {"architecture": architecture.to_dict()},
        "pretrained_cfg": {
            "tag": architecture.id,
            "custom_load": False,
            **preparation(export.description),
            "fixed_input_size": False,
            "num_classes": classes,
            "pool_size": None,
            "first_conv": None,
            "classifier": CLASSIFIER,
        },
    }


def preparation(description: ExportDescription) -> dict[str, Any]:
    """What timm's `create_transform` has to know of a network's images."""
    data, side = description.data, description.architecture.resolution
    return {
        "input_size": [data.in_channels, side, side],
        "interpolation": data.interpolation(side),
        "crop_pct": 1.0,
        "crop_mode": CROP_MODES[data.fit],
        "mean": list(data.mean),
        "std": list(data.std),
    }


def publish(id: str, folder: Path) -> None:
    """Give the network its name in timm, `nas_<id>`, in this process and in later ones."""
    from nas.export.timm_models import register

    remember(id, folder)
    register()


FORMATS.register(Format("timm", CONFIG_FILE, write, load, default=True, published=publish))
