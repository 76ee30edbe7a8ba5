"""`model.onnx`: input `images` (batch, C, R, R), output `scores` (batch, classes)."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from nas.export.format import FORMATS, Export, Format, Run
from nas.export.verification import random_images
from nas.latency.timing.onnx import EXPORTER, EXTRA, INPUT, OUTPUT, RUNTIME, onnx_bytes, session

FILE = "model.onnx"


def write(export: Export) -> None:
    """Export the network for any batch size."""
    name = f"Network {export.network.architecture.id}"
    model = onnx_bytes(export.network, random_images(export.network, 2), any_batch=True, name=name)
    (export.folder / FILE).write_bytes(model)


def load(file: Path) -> Run:
    """The model in a file, in onnxruntime."""
    running = session(file.read_bytes())

    def run(images: Tensor) -> Tensor:
        return torch.from_numpy(running.run([OUTPUT], {INPUT: images.numpy()})[0])

    return run


FORMATS.register(
    Format("onnx", FILE, write, load, tolerance=1e-4, packages=(*EXPORTER, RUNTIME), extra=EXTRA)
)
