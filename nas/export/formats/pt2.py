"""`model.pt2`: a captured graph with its weights, for torch alone.

    network = torch.export.load("model.pt2").module()
    scores = network(images)        (batch, C, R, R) -> (batch, classes), any batch size

Loading it needs nothing of this project.
"""

from __future__ import annotations

from pathlib import Path

import torch

from nas.errors import ExportError
from nas.export.format import FORMATS, Export, Format, Run
from nas.export.verification import random_images

FILE = "model.pt2"


def write(export: Export) -> None:
    """Capture the network's graph and write it."""
    batch = torch.export.Dim("batch")
    try:
        program = torch.export.export(
            export.network, (random_images(export.network, 2),), dynamic_shapes=({0: batch},)
        )
    except Exception as error:  # whatever an operator's tracing raises
        raise ExportError(
            f"Network {export.network.architecture.id} cannot be captured by torch.export: {error}"
        ) from error
    torch.export.save(program, export.folder / FILE)


def load(file: Path) -> Run:
    """The graph in a file."""
    return torch.export.load(file).module()


FORMATS.register(Format("pt2", FILE, write, load, tolerance=1e-4, default=True))
