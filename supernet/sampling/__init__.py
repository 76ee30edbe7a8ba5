"""Which children a training step runs: one sampler a file.

A step's children are a list. Each is an architecture and the part of the step's images that it
sees, so that several children can share one batch. A supervision that has one child teach the
others takes the first one as the teacher.

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
    """How far a training is: `step` counts from 0 to `steps` - 1."""

    step: int
    steps: int


@dataclass(frozen=True)
class Child:
    """An architecture and the part of a step's images that it sees, as shares of the batch."""

    architecture: Architecture
    begin: float = 0.0
    end: float = 1.0

    def rows(self, images: int) -> slice:
        """Which of so many images these are; at least one."""
        begin = min(round(self.begin * images), images - 1)
        return slice(begin, max(begin + 1, round(self.end * images)))


class Sampler(Protocol):
    """Chooses the children of each step."""

    def children(self, moment: Moment, rng: np.random.Generator) -> list[Child]:
        """The children of one step, at least one.

        Args:
            moment: Which step of how many.
            rng: The only source of chance; it depends on the seed and the step.
        """
        ...


@runtime_checkable
class LearningSampler(Sampler, Protocol):
    """A sampler that is told how its children did."""

    def tell(self, children: Sequence[Child], losses: Sequence[float]) -> None:
        """Learn from a step.

        Args:
            children: Those of the step.
            losses: Cross entropy of each with the labels of its images, whatever it was taught
                with; NaN for a child that was not run on them.
        """
        ...

    def state(self) -> Mapping[str, Any]:
        """All that was learnt, as JSON can hold it: checkpoints keep it."""
        ...

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state` gave."""
        ...


SAMPLERS: Registry[Method[Sampler]] = Registry("sampler", "supernet.sampling")
