"""Accuracy of a child or a network on labelled images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from search_spaces.architecture import Architecture
from supernet.calibration import calibrate
from supernet.scores import Evaluation
from supernet.supernet import Supernet

Batches = Iterable[tuple[Tensor, Tensor]]
"""Images (B, C, R, R) and class numbers (B,)."""


@torch.inference_mode()
def evaluate(run: Callable[[Tensor], Tensor], batches: Batches) -> Evaluation:
    """Evaluate a function from images to scores, on any device."""
    right, losses, labels = [], [], []
    for images, classes in batches:
        scores = run(images).float().cpu()
        losses.append(F.cross_entropy(scores, classes, reduction="none").double())
        right.append((scores.argmax(dim=1) == classes).double())
        labels.append(classes)
    hits, classes = torch.cat(right), torch.cat(labels)
    by_class = [hits[classes == c].mean() for c in sorted(set(classes.tolist()))]
    return Evaluation(
        accuracy=float(hits.mean()),
        balanced_accuracy=float(torch.stack(by_class).mean()),
        loss=float(torch.cat(losses).mean()),
    )


def evaluate_child(
    supernet: Supernet,
    architecture: Architecture,
    batches: Callable[[int], Batches],
    calibration: Callable[[int], Iterable[Tensor]],
) -> Evaluation:
    """Evaluate a child on the shared weights.

    Args:
        supernet: Holds the weights.
        architecture: The child.
        batches: Labelled images at a resolution.
        calibration: Training images at a resolution, for batch-norm statistics; none is drawn
            for a child without batch norm.
    """
    device = next(supernet.parameters()).device

    def images() -> Iterator[Tensor]:
        for x in calibration(architecture.resolution):
            yield x.to(device)

    network = supernet.extract(architecture)
    calibrate(network, images())
    return evaluate(lambda x: network(x.to(device)), batches(architecture.resolution))
