"""Uniform: children drawn from the space, all in the same way.

None of them is sure to be large, so none can teach the others: use it with `supervision=labels`.
Paper: Single path one-shot, Guo et al. 2019, https://arxiv.org/abs/1904.00420
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
class UniformOptions:
    """How many children are drawn for a step."""

    children: Annotated[int, Field(ge=1)] = 1


class Uniform:
    """A number of children drawn from the space."""

    def __init__(self, space: SearchSpace, options: UniformOptions) -> None:
        self.space, self.options = space, options

    def children(self, moment: Moment, rng: np.random.Generator) -> list[Child]:
        """Children drawn from the space."""
        codes = self.space.sample(self.options.children, rng)
        return [Child(self.space.decode(code)) for code in codes]


SAMPLERS.register(
    Method(
        "uniform",
        UniformOptions,
        lambda setup, options: Uniform(setup.supernet.space, options),
        paper="https://arxiv.org/abs/1904.00420",
    )
)
