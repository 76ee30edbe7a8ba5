"""What an evaluation says of a network; imports no torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Evaluation:
    """Shares of right answers and the mean cross entropy over a set of images.

    Balanced accuracy is the mean over the classes present of the share that is recognised. All
    three are NaN where the evaluation failed.
    """

    accuracy: float
    balanced_accuracy: float
    loss: float
