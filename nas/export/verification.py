"""Every export is loaded back, and its scores are compared with the network's own."""

from __future__ import annotations

import torch
from torch import Tensor

from nas.errors import ExportError
from nas.export.format import Run
from search_spaces.network import Network

BATCH_SIZES = (2, 1, 5)
"""Two as in the exporters' example, one, and a size that no exporter has seen."""


@torch.no_grad()
def check_same(
    network: Network, exported: Run, what: str, images: Tensor, tolerance: float = 0.0
) -> None:
    """Compare the exported network's scores with the network's own.

    Args:
        network: In eval mode, on the CPU.
        what: What was exported, for the message.
        images: What both are run on, (n, C, R, R); five are enough.
        tolerance: Largest difference allowed, as a share of the largest score; 0 is to the bit.

    Raises:
        ExportError: they differ.
    """
    for batch_size in BATCH_SIZES:
        batch = images[:batch_size]
        expected, found = network(batch), exported(batch)
        if found.shape != expected.shape:
            raise _other(
                network,
                what,
                f"for a batch of {len(batch)} they have the shape {tuple(found.shape)}, "
                f"not {tuple(expected.shape)}",
            )
        limit = tolerance * max(1.0, float(expected.abs().max()))
        difference = float((found - expected).abs().max())
        if not difference <= limit:  # also when it is NaN
            raise _other(
                network,
                what,
                f"they differ by up to {difference:.3g} for a batch of {len(batch)}, and "
                f"{limit:.3g} is allowed",
            )


def random_images(network: Network, count: int = max(BATCH_SIZES)) -> Tensor:
    """Random images of the network's resolution, the same ones each time."""
    side = network.architecture.resolution
    generator = torch.Generator().manual_seed(count)
    return torch.randn(count, network.data_shape.channels, side, side, generator=generator)


def _other(network: Network, what: str, how: str) -> ExportError:
    id = network.architecture.id
    return ExportError(f"{what} of network {id} gives other scores: {how}. Nothing was written.")
