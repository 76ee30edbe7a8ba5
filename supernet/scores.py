"""The scores of an evaluation; imports no torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Evaluation:
    """Shares of right answers and the mean cross entropy over a set of images.

    Balanced accuracy is the mean of the accuracies within each class that is present. All three
    are NaN if the evaluation failed.
    """

    accuracy: float
    balanced_accuracy: float
    loss: float
