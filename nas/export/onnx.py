"""`model.onnx`: input `images` (batch, C, R, R), output `scores` (batch, classes)."""

from __future__ import annotations

import contextlib
import importlib
import io
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nas.errors import ExportError, missing_extra
from nas.export.description import ExportDescription
from nas.export.verification import check_same, random_images
from search_spaces.network import Network

FILE = "model.onnx"
TOLERANCE = 1e-4
PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def write(network: Network, description: ExportDescription, folder: Path) -> Path:
    """Export the network, write it and check what onnxruntime makes of it."""
    runtime = [_installed(package) for package in PACKAGES][-1]
    file = folder / FILE
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")  # of the exporter's own libraries
            torch.onnx.export(
                network,
                (random_images(network, 2),),
                file,
                dynamo=True,
                external_data=False,
                input_names=["images"],
                output_names=["scores"],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                verbose=False,
            )
    except Exception as error:  # whatever the exporter raises
        raise ExportError(
            f"Network {network.architecture.id} cannot be exported to ONNX: {error}"
        ) from error
    session = runtime.InferenceSession(str(file), providers=["CPUExecutionProvider"])

    def run(images: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {"images": images.numpy()})[0])

    check_same(network, run, "The ONNX file", TOLERANCE)
    return file


def _installed(package: str) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise missing_extra(package, "onnx", "Export to ONNX") from error
