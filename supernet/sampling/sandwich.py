"""Sandwich: the largest child, the smallest one and a few drawn at random.

The families of the largest and the smallest are drawn again at each step, so that no family is
trained at its full size more often than the others. In half of the steps all blocks of the largest
are of one family, as far as they offer it. Where each block draws its own, such networks are
almost never trained: another family in some block does their work. If the supernet started from a
donor, the donor is the largest child of every step.
Paper: BigNAS, Yu et al. 2020, https://arxiv.org/abs/2003.11142 (Section 3.1)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from search_spaces.architecture import Architecture
from search_spaces.space import SearchSpace
from supernet.method import Method
from supernet.sampling import SAMPLERS, Child, Moment


@dataclass(frozen=True)
class SandwichOptions:
    """How many children are drawn beside the two extremes, and how training begins."""

    random_children: Annotated[int, Field(ge=0)] = 2
    alike: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Chance that all blocks of the largest child are of one family as far as they offer it."""
    alone: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the steps, at the start, that train the largest child alone."""
    descent: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the steps over which the other children come down from the largest one: at first
    they keep all of its choices, at the end of it none."""


class Sandwich:
    """Largest, smallest and `random_children` drawn from the space."""

    def __init__(
        self, space: SearchSpace, options: SandwichOptions, donor: Architecture | None = None
    ) -> None:
        self.space, self.options = space, options
        self.donor = None if donor is None else space.encode(donor)

    def children(self, moment: Moment, rng: np.random.Generator) -> list[Child]:
        """The largest first: it can teach the others."""
        if self.donor is None:
            largest = self.space.largest(rng, alike=rng.random() < self.options.alike)
        else:
            largest = self.donor
        progress = moment.step / max(1, moment.steps)
        if progress < self.options.alone:
            return [Child(self.space.decode(largest))]
        drawn = self.space.sample(self.options.random_children, rng)
        others = np.stack([self.space.smallest(rng), *drawn])
        if progress < self.options.descent:
            kept = rng.random(others.shape) < 1 - progress / self.options.descent
            kept |= ~self.space.active(others)  # of blocks that only the largest one has
            others = self.space.canonical(np.where(kept, largest, others))
        return [Child(self.space.decode(code)) for code in (largest, *others)]


SAMPLERS.register(
    Method(
        "sandwich",
        SandwichOptions,
        lambda setup, options: Sandwich(setup.supernet.space, options, setup.donor),
        teaches=True,
        paper="https://arxiv.org/abs/2003.11142",
    )
)
