"""Batch-norm statistics of a finished network, computed again from training images."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from supernet.batches import TrainingData

CALIBRATION_IMAGES = 512
"""Training images for batch norms; `scripts/calibration_images.py` compares numbers."""


@torch.no_grad()
def calibrate(network: nn.Module, images: Iterable[Tensor]) -> None:
    """Put a network in eval mode, with batch-norm statistics of its present weights.

    Args:
        network: Its running statistics are replaced by means over the images.
        images: Batches (B, C, R, R); none is drawn for a network without batch norm.
    """
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    if norms:
        momenta, seen = [norm.momentum for norm in norms], 0
        for norm in norms:
            norm.reset_running_stats()
        network.train()
        for x in images:
            seen += len(x)
            for norm in norms:
                norm.momentum = len(x) / seen  # a small last batch counts for little
            network(x)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
    network.eval()


def calibrate_on(network: nn.Module, data: TrainingData, batch_size: int, side: int) -> None:
    """The same with the first batches of a training, on the network's device."""
    device = next(network.parameters()).device
    enough = -(-CALIBRATION_IMAGES // batch_size)
    numbers = range(min(enough, data.steps_per_epoch(batch_size)))
    calibrate(network, (data.batch(n, batch_size, side).images.to(device) for n in numbers))
