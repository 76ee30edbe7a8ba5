"""Samplers: which children a training step runs, the teacher first.

Sandwich: the largest child, the smallest one and a few drawn at random. The families of the
largest and the smallest are drawn anew each step, so that no family is trained at its full size
more often than the others.
Paper: BigNAS, Yu et al. 2020, https://arxiv.org/abs/2003.11142 (Section 3.1)
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from search_spaces.architecture import Architecture
from search_spaces.space import SearchSpace


class Sampler(Protocol):
    """Chooses the children of a step; the first one teaches the others."""

    def children(self, rng: np.random.Generator) -> list[Architecture]:
        """The architectures of one step, at least one."""
        ...


class Sandwich:
    """Largest, smallest and `random_children` drawn from the space."""

    def __init__(self, space: SearchSpace, random_children: int = 2) -> None:
        self.space, self.random_children = space, random_children

    def children(self, rng: np.random.Generator) -> list[Architecture]:
        """The architectures of one step: largest, smallest, random ones."""
        codes = [self.space.largest(rng), self.space.smallest(rng)]
        codes += list(self.space.sample(self.random_children, rng))
        return [self.space.decode(code) for code in codes]
