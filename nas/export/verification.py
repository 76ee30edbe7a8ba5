"""No export leaves the house unseen: it is loaded back and compared on random images."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from nas.errors import ExportError
from search_spaces.network import Network

BATCH_SIZES = (2, 1, 5)
"""Two as in the example that exporters see, one, and one that no exporter has seen."""

Run = Callable[[Tensor], Tensor]


@torch.no_grad()
def check_same(network: Network, exported: Run, what: str, tolerance: float = 0.0) -> None:
    """Compare the exported network's scores with the network's own.

    Args:
        network: In eval mode, on the CPU.
        exported: The same network, loaded back.
        what: What was exported, for the message.
        tolerance: Largest difference allowed, as a share of the largest score; 0 is to the bit.

    Raises:
        ExportError: they differ.
    """
    for batch_size in BATCH_SIZES:
        images = random_images(network, batch_size)
        expected, found = network(images), exported(images)
        if found.shape != expected.shape:
            raise ExportError(
                f"{what} of network {network.architecture.id} is not the network: for a batch of "
                f"{batch_size} it gives {tuple(found.shape)} scores, not {tuple(expected.shape)}. "
                "Nothing was written."
            )
        limit = tolerance * max(1.0, float(expected.abs().max()))
        difference = float((found - expected).abs().max())
        if not difference <= limit:  # also when it is NaN
            raise ExportError(
                f"{what} of network {network.architecture.id} is not the network: its scores "
                f"differ by up to {difference:.3g} for a batch of {batch_size}, and {limit:.3g} "
                "is allowed. Nothing was written."
            )


def random_images(network: Network, batch_size: int) -> Tensor:
    """Random images of the network's resolution, the same ones each time."""
    side = network.architecture.resolution
    generator = torch.Generator().manual_seed(batch_size)
    return torch.randn(batch_size, network.in_channels, side, side, generator=generator)
