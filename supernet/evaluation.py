"""Accuracy of networks on labelled images."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

from supernet.scores import Evaluation

Batches = Iterable[tuple[Tensor, Tensor]]
"""Images (B, C, R, R) and class numbers (B,)."""


class Tally:
    """What a network has answered so far, on any device."""

    def __init__(self) -> None:
        self._right: list[Tensor] = []
        self._losses: list[Tensor] = []
        self._classes: list[Tensor] = []

    def add(self, scores: Tensor, classes: Tensor) -> None:
        """Take the scores (B, classes) of some images and their class numbers (B,)."""
        scores = scores.float().cpu()
        self._losses.append(F.cross_entropy(scores, classes, reduction="none").double())
        self._right.append((scores.argmax(dim=1) == classes).double())
        self._classes.append(classes)

    def evaluation(self) -> Evaluation:
        """The scores over all images."""
        hits, classes = torch.cat(self._right), torch.cat(self._classes)
        by_class = [hits[classes == c].mean() for c in sorted(set(classes.tolist()))]
        return Evaluation(
            accuracy=float(hits.mean()),
            balanced_accuracy=float(torch.stack(by_class).mean()),
            loss=float(torch.cat(self._losses).mean()),
        )


@torch.inference_mode()
def evaluate(run: Callable[[Tensor], Tensor], batches: Batches) -> Evaluation:
    """Evaluate a function from images to scores, on any device."""
    tally = Tally()
    for images, classes in batches:
        tally.add(run(images), classes)
    return tally.evaluation()
