"""Sandwich: the largest child, the smallest one and a few drawn at random.

The families of the largest and the smallest are drawn again at each step, so that no family is
trained at its full size more often than the others.
Paper: BigNAS, Yu et al. 2020, https://arxiv.org/abs/2003.11142 (Section 3.1)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from search_spaces.space import SearchSpace
from supernet.method import Method
from supernet.sampling import SAMPLERS, Child, Moment


@dataclass(frozen=True)
class SandwichOptions:
    """How many children are drawn beside the two extremes."""

    random_children: Annotated[int, Field(ge=0)] = 2


class Sandwich:
    """Largest, smallest and `random_children` drawn from the space."""

    def __init__(self, space: SearchSpace, options: SandwichOptions) -> None:
        self.space, self.options = space, options

    def children(self, moment: Moment, rng: np.random.Generator) -> list[Child]:
        """The largest first: it can teach the others."""
        codes = [self.space.largest(rng), self.space.smallest(rng)]
        codes += list(self.space.sample(self.options.random_children, rng))
        return [Child(self.space.decode(code)) for code in codes]


SAMPLERS.register(
    Method(
        "sandwich",
        SandwichOptions,
        lambda setup, options: Sandwich(setup.supernet.space, options),
        paper="https://arxiv.org/abs/2003.11142",
    )
)
