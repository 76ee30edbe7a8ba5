"""The protocol of training data: batches by number."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class Batch(Protocol):
    """Images (B, C, R, R), target probabilities (B, classes) and the images' numbers (B,)."""

    @property
    def images(self) -> Tensor:
        """Normalised images."""
        ...

    @property
    def targets(self) -> Tensor:
        """Probabilities of the classes."""
        ...

    @property
    def indices(self) -> Tensor:
        """Which training images these are: positions in the training split."""
        ...


class TrainingData(Protocol):
    """Batches by number: equal numbers give equal images, at any resolution."""

    def steps_per_epoch(self, batch_size: int) -> int:
        """Full batches in one pass over the images."""
        ...

    def batch(self, step: int, batch_size: int, resolution: int) -> Batch:
        """The batch of a step, counted from the beginning of training."""
        ...
