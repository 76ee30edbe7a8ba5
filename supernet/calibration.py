"""Batch-norm statistics of a finished network, computed again from training images."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


@torch.no_grad()
def calibrate(network: nn.Module, images: Iterable[Tensor]) -> None:
    """Put a network in eval mode, with batch-norm statistics of its present weights.

    Args:
        network: Its running statistics are replaced by plain means over the batches.
        images: Batches (B, C, R, R); none is drawn for a network without batch norm.
    """
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    if norms:
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # a plain mean over the batches
        network.train()
        for x in images:
            network(x)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
    network.eval()
