"""Networks as files that run without a search.

    network = ...                                   retrained, a plain module
    export_network(network, folder, data=DataDescription.of(dataset), scores={...})
    network = load_exported(folder)
    scores = network(prepare_files(folder, ["photograph.jpg"]))

A folder gets `architecture.yaml` and `model.safetensors`, then one more file per format; each file
in `formats/` is one format.
"""

from __future__ import annotations

from nas.errors import ExportError
from nas.export.description import DataDescription, read_architecture
from nas.export.export import export_network, files_of
from nas.export.format import FORMATS, Export, Format, default_formats, installed_formats
from nas.export.load import load_exported
from nas.export.prepare import open_image, prepare_files

__all__ = [
    "FORMATS",
    "DataDescription",
    "Export",
    "ExportError",
    "Format",
    "default_formats",
    "export_network",
    "files_of",
    "installed_formats",
    "load_exported",
    "open_image",
    "prepare_files",
    "read_architecture",
]
