"""Accuracy of a trained supernet's children, in this process or in others.

`ChildEvaluator` runs children on the shared weights. Another process, or another machine, makes
the same evaluator from its `parts`: weights and images travel, and no file is read there.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nas.data import SearchData
from nas.data.batches import EvalBatches
from nas.environment import keep_to_usable_cpus
from nas.errors import CheckpointError, RunError
from search_spaces import Architecture, SearchSpace
from search_spaces.data_shape import DataShape
from supernet.calibration import CALIBRATION_IMAGES
from supernet.scores import Evaluation
from supernet.supernet import Supernet
from supernet.training.checkpoint import from_bytes
from supernet.training.loop import Curve
from supernet.tree import evaluate_children

T = TypeVar("T")

BATCH_SIZE = 256
PIXELS = 2**18
"""Of a batch on a processor: the maps of more do not fit in its caches. A child of `photo-mobile`
takes 1.4 times as long at 64 px in batches of 256 images, and twice as long at 128 px
(`scripts/evaluation_batches.py`)."""


def batch_size_at(resolution: int) -> int:
    """How many images are evaluated at once: all that help on a GPU, fewer large ones without."""
    if torch.cuda.is_available():
        return BATCH_SIZE
    return min(BATCH_SIZE, max(16, PIXELS // resolution**2))


class EvaluationImages:
    """Images to evaluate children on, and images to calibrate their batch norms with.

    Args:
        data: Training and validation images, without a test split.
        validation: Number of validation images to evaluate on, drawn once; None for all.
    """

    def __init__(self, data: SearchData, validation: int | None = None) -> None:
        judged = data.validation
        if validation is not None:
            drawn = np.random.default_rng(0).permutation(len(judged))[:validation]
            judged = judged.select(np.sort(drawn))
        # Drawn, because a folder's images come class by class: the first ones are of few classes.
        mixed = np.random.default_rng(0).permutation(len(data.train))
        drawn = mixed[:CALIBRATION_IMAGES]
        self._validation = EvalBatches(judged, data.normalisation)
        self._calibration = EvalBatches(data.train.select(drawn), data.normalisation)

    def validation(self, resolution: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Images and class numbers at a resolution."""
        return self._validation.batches(resolution, batch_size_at(resolution))

    def calibration(self, resolution: int) -> Iterator[Tensor]:
        """Training images without augmentation, for batch-norm statistics."""
        for images, _ in self._calibration.batches(resolution, batch_size_at(resolution)):
            yield images

    def evaluate(self, supernet: Supernet, architecture: Architecture) -> Evaluation:
        """A child's scores on the validation images, with the shared weights."""
        return self.evaluate_all(supernet, [architecture])[0]

    def evaluate_all(
        self,
        supernet: Supernet,
        architectures: Sequence[Architecture],
        stopped: Event | None = None,
    ) -> list[Evaluation]:
        """The same of several children; what they begin with in common is run once.

        Args:
            supernet: Holds the shared weights.
            architectures: The children.
            stopped: Set by another thread to end this early.

        Raises:
            RunError: it was ended early.
        """
        return evaluate_children(
            supernet,
            architectures,
            lambda side: _until(stopped, self.validation(side)),
            lambda side: _until(stopped, self.calibration(side)),
        )


def _until(stopped: Event | None, batches: Iterator[T]) -> Iterator[T]:
    """The batches, and an error as soon as it is known that nobody waits for the result."""
    for batch in batches:
        if stopped is not None and stopped.is_set():
            raise RunError("The evaluation was stopped.")
        yield batch


@dataclass(frozen=True)
class Parts:
    """The large arrays that evaluating takes; processes of one machine can share them."""

    weights: Mapping[str, npt.NDArray[Any]]
    """Of the supernet, by parameter name."""
    images: EvaluationImages


@dataclass(frozen=True)
class ChildEvaluator:
    """Evaluates children of one trained supernet."""

    supernet: Supernet
    images: EvaluationImages

    def __call__(self, architecture: Architecture) -> Evaluation:
        """A child's scores on the validation split."""
        return self.images.evaluate(self.supernet, architecture)

    def all_of(
        self, architectures: Sequence[Architecture], stopped: Event | None = None
    ) -> list[Evaluation]:
        """The scores of several children; arguments as in `EvaluationImages.evaluate_all`."""
        return self.images.evaluate_all(self.supernet, architectures, stopped)

    def parts(self) -> Parts:
        """What another process needs to evaluate the same, without reading files."""
        own = self.supernet.named_parameters()
        return Parts({name: p.detach().cpu().numpy() for name, p in own}, self.images)


def evaluator_from(
    parts: Parts, space: SearchSpace, data_shape: DataShape, device: str
) -> ChildEvaluator:
    """The evaluator that made the parts; the weights are not copied on a CPU.

    Args:
        parts: From `ChildEvaluator.parts`, in this process or another; arrays may be read-only.
        space: The supernet's space.
        data_shape: Channels of the images and number of classes.
        device: Where children are run.
    """
    keep_to_usable_cpus()
    supernet = Supernet(space, data_shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of read-only memory; nobody writes
        for name, parameter in supernet.named_parameters():
            parameter.data = torch.from_numpy(parts.weights[name])
    supernet.to(torch.device(device))
    return ChildEvaluator(supernet, parts.images)


def load_supernet(supernet: Supernet, path: Path, key: str) -> Curve:
    """Fill a supernet with trained weights; returns its training curve.

    Raises:
        CheckpointError: the file is damaged or holds another supernet.
    """
    tensors, description = from_bytes(path.read_bytes(), str(path))
    if description.get("key") != key:
        raise CheckpointError(f"{path} holds another supernet. Delete it to train it again.")
    supernet.load_state_dict(tensors)
    curve: Curve = description["curve"]
    return curve
