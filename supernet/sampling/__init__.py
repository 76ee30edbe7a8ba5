"""Samplers, one per file: they choose the children of each training step.

A step's children are a list. Each is an architecture and the part of the step's images that it
sees, so that several children can share one batch. A supervision that has one child teach the
others takes the first one as the teacher; samplers whose first child is large say `teaches=True`.

To add a sampler, add a file here that ends in `SAMPLERS.register(Method(...))`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from search_spaces.architecture import Architecture
from search_spaces.registry import Registry
from supernet.method import Method


@dataclass(frozen=True)
class Moment:
    """A moment of a training: `step` counts from 0 to `steps` - 1."""

    step: int
    steps: int


@dataclass(frozen=True)
class Child:
    """An architecture and the part of a step's images that it sees, as shares of the batch."""

    architecture: Architecture
    begin: float = 0.0
    end: float = 1.0

    def rows(self, images: int) -> slice:
        """The child's rows of a batch with that many images; at least one."""
        begin = min(round(self.begin * images), images - 1)
        return slice(begin, max(begin + 1, round(self.end * images)))


class Sampler(Protocol):
    """Chooses the children of each step."""

    def children(self, moment: Moment, rng: np.random.Generator) -> list[Child]:
        """The children of one step, at least one.

        Args:
            moment: The step, and the number of steps.
            rng: The only source of randomness; it depends on the seed and the step.
        """
        ...


@runtime_checkable
class LearningSampler(Sampler, Protocol):
    """A sampler that gets the losses of its children."""

    def tell(self, children: Sequence[Child], losses: Sequence[float]) -> None:
        """Learn from a step.

        Args:
            children: Those of the step.
            losses: Cross entropy of each with the labels of its images, even if it learns from
                something else; NaN for a child that was not run on its images.
        """
        ...

    def state(self) -> Mapping[str, Any]:
        """The learnt state, for checkpoints; it must fit JSON."""
        ...

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state` gave."""
        ...


SAMPLERS: Registry[Method[Sampler]] = Registry("sampler", "supernet.sampling")
