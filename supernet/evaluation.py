"""How good a child or a network is on labelled images."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from search_spaces.architecture import Architecture
from supernet.supernet import Supernet

Batches = Iterable[tuple[Tensor, Tensor]]
"""Images (B, C, R, R) and class numbers (B,)."""


@dataclass(frozen=True)
class Evaluation:
    """Shares of right answers and the mean cross entropy over a set of images."""

    accuracy: float
    balanced_accuracy: float
    loss: float


@torch.inference_mode()
def evaluate(run: Callable[[Tensor], Tensor], batches: Batches) -> Evaluation:
    """Evaluate anything that maps images to scores.

    Balanced accuracy is the mean over the classes present of the share that is recognised.
    """
    right, losses, labels = [], [], []
    for images, classes in batches:
        scores = run(images).float()
        losses.append(F.cross_entropy(scores, classes, reduction="none").double().cpu())
        right.append((scores.argmax(dim=1) == classes).double().cpu())
        labels.append(classes.cpu())
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
        calibration: Training images at a resolution, for batch-norm statistics; not asked for
            where the child has no batch norm.
    """
    network = supernet.extract(
        architecture, supernet.calibrate(architecture, _lazily(calibration, architecture))
    )
    return evaluate(network, batches(architecture.resolution))


def _lazily(
    calibration: Callable[[int], Iterable[Tensor]], architecture: Architecture
) -> Iterable[Tensor]:
    yield from calibration(architecture.resolution)
