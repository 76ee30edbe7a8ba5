"""Cost-stratified: the largest child, the smallest one, and one from each range of costs between.

A plain draw gives mostly children of middle cost, so cheap and expensive ones are trained less.
Here the range of costs (logarithm of multiply-accumulates) is cut into equal parts, and each step
draws one child from every part. The largest comes first: it can teach the others. If the supernet
started from a donor, that is the donor.
Paper: the sandwich is BigNAS, Yu et al. 2020, https://arxiv.org/abs/2003.11142; strata are ours
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
class CostStratifiedOptions:
    """How many parts the range of costs has."""

    strata: Annotated[int, Field(ge=1)] = 2


class CostStratified:
    """Largest, smallest and one child for each part of the range of costs."""

    def __init__(
        self, scale: CostScale, options: CostStratifiedOptions, donor: Architecture | None = None
    ) -> None:
        self.donor = None if donor is None else scale.space.encode(donor)
        self.scale, self.strata = scale, options.strata

    def children(self, moment: Moment, rng: np.random.Generator) -> list[Child]:
        """The largest first."""
        space = self.scale.space
        places = (np.arange(self.strata) + rng.random(self.strata)) / self.strata
        codes = [space.largest(rng) if self.donor is None else self.donor, space.smallest(rng)]
        codes += [self.scale.near(place, rng) for place in places]
        return [Child(space.decode(code)) for code in codes]


SAMPLERS.register(
    Method(
        "cost-stratified",
        CostStratifiedOptions,
        lambda setup, options: CostStratified(CostScale.of(setup), options, setup.donor),
        teaches=True,
        paper="https://arxiv.org/abs/2003.11142",
    )
)
