"""`model.pt2`: a captured graph with its weights, for torch alone.

    network = torch.export.load("model.pt2").module()
    scores = network(images)        (batch, C, R, R) -> (batch, classes), any batch size

Nothing of ours is needed to load it.
"""

from __future__ import annotations

from pathlib import Path

import torch

from nas.errors import ExportError
from nas.export.description import ExportDescription
from nas.export.verification import check_same, random_images
from search_spaces.network import Network

FILE = "model.pt2"
TOLERANCE = 1e-4


def write(network: Network, description: ExportDescription, folder: Path) -> Path:
    """Capture the network's graph, write it and check what is read back."""
    file = folder / FILE
    batch = torch.export.Dim("batch")
    try:
        program = torch.export.export(
            network, (random_images(network, 2),), dynamic_shapes=({0: batch},)
        )
    except Exception as error:  # whatever an operator's tracing raises
        raise ExportError(
            f"Network {network.architecture.id} cannot be captured by torch.export: {error}"
        ) from error
    torch.export.save(program, file)
    check_same(network, torch.export.load(file).module(), "The pt2 file", TOLERANCE)
    return file
