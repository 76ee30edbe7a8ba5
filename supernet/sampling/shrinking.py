"""Shrinking: first the largest child alone, then smaller and smaller ones beside it.

The cost of the other children is drawn between a floor and the largest child's. The floor falls
steadily from the largest child to the smallest, which it reaches after a share of the training.
The largest child is in every step and comes first: it can teach the others. If the supernet
started from a donor, that is the donor.
Paper: Once-for-All, Cai et al. 2020, https://arxiv.org/abs/1908.09791, which shrinks
one dimension after the other
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from search_spaces.architecture import Architecture
from supernet.costs import CostScale
from supernet.method import Method
from supernet.sampling import SAMPLERS, Child, Moment


@dataclass(frozen=True)
class ShrinkingOptions:
    """When other children start, when the smallest is reached (shares of the training), number."""

    start: Annotated[float, Field(ge=0, lt=1)] = 0.1
    end: Annotated[float, Field(gt=0, le=1)] = 0.6
    children: Annotated[int, Field(ge=1)] = 3


class Shrinking:
    """The largest child, and others above a floor that falls."""

    def __init__(
        self, scale: CostScale, options: ShrinkingOptions, donor: Architecture | None = None
    ) -> None:
        self.donor = None if donor is None else scale.space.encode(donor)
        self.scale, self.options = scale, options

    def children(self, moment: Moment, rng: np.random.Generator) -> list[Child]:
        """The largest first."""
        space = self.scale.space
        floor = self.floor(moment)
        codes = [space.largest(rng) if self.donor is None else self.donor]
        if floor < 1.0:
            places = floor + (1.0 - floor) * rng.random(self.options.children)
            codes += [self.scale.near(place, rng) for place in places]
        return [Child(space.decode(code)) for code in codes]

    def floor(self, moment: Moment) -> float:
        """The least cost of a step's children: 1 is the largest child's, 0 the smallest's."""
        start, end = self.options.start, self.options.end
        passed = (moment.step / moment.steps - start) / max(end - start, 1e-9)
        return float(np.clip(1.0 - passed, 0.0, 1.0))


SAMPLERS.register(
    Method(
        "shrinking",
        ShrinkingOptions,
        lambda setup, options: Shrinking(CostScale.of(setup), options, setup.donor),
        teaches=True,
        paper="https://arxiv.org/abs/1908.09791",
    )
)
