"""Networks as files that run without a search.

    network = ...                                   retrained, a plain module
    export_network(network, folder, data=DataDescription.of(dataset), scores={...})
    network = load_exported(folder)

A folder gets `architecture.yaml` and `model.safetensors`, then one more file per format:
`config.json` for timm, `model.pt2` for torch alone, `model.onnx` for any ONNX runtime.
"""

from __future__ import annotations

from nas.errors import ExportError
from nas.export.description import DataDescription, read_architecture
from nas.export.export import FORMATS, export_network, installed_formats
from nas.export.load import load_exported

__all__ = [
    "FORMATS",
    "DataDescription",
    "ExportError",
    "export_network",
    "installed_formats",
    "load_exported",
    "read_architecture",
]
