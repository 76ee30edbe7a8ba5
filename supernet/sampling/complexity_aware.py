"""Complexity-aware: the costs of one step's children differ little from those of the step before.

Gradients of children of very different size disagree, so weights that both use are pulled to and
fro. Here the range of costs (logarithm of multiply-accumulates) has levels, and each step moves by
one level at most: down, up, or not at all, by chance. So all levels are visited equally often in
the long run. All children of a step have about the level's cost; none is sure to be a better
teacher than the others: use it with `supervision=labels`.
Paper: ElasticViT, Tang et al. 2023, https://arxiv.org/abs/2303.09730
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from supernet.costs import CostScale
from supernet.method import Method
from supernet.sampling import SAMPLERS, Child, Moment


@dataclass(frozen=True)
class ComplexityAwareOptions:
    """How many levels the range of costs has, how many children a step has."""

    levels: Annotated[int, Field(ge=2)] = 8
    children: Annotated[int, Field(ge=1)] = 4


class ComplexityAware:
    """Children of one level; the level is its state."""

    def __init__(self, scale: CostScale, options: ComplexityAwareOptions) -> None:
        self.scale, self.options = scale, options
        self.level = options.levels - 1

    def children(self, moment: Moment, rng: np.random.Generator) -> list[Child]:
        """Children of the step's level."""
        self.level = self.neighbour(rng)
        codes = [self.draw(rng) for _ in range(self.options.children)]
        return [Child(self.scale.space.decode(code)) for code in codes]

    def tell(self, children: Sequence[Child], losses: Sequence[float]) -> None:
        """Losses change nothing."""

    def state(self) -> Mapping[str, Any]:
        """The level of the last step."""
        return {"level": self.level}

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from a level."""
        self.level = state["level"]

    def neighbour(self, rng: np.random.Generator) -> int:
        """The next level; a step beyond an end stays, which makes all levels equally likely."""
        return int(np.clip(self.level + rng.integers(-1, 2), 0, self.options.levels - 1))

    def draw(self, rng: np.random.Generator) -> np.ndarray[Any, np.dtype[np.int16]]:
        """A code of the present level, (genes,)."""
        return self.scale.near((self.level + rng.random()) / self.options.levels, rng)


SAMPLERS.register(
    Method(
        "complexity-aware",
        ComplexityAwareOptions,
        lambda setup, options: ComplexityAware(CostScale.of(setup), options),
        paper="https://arxiv.org/abs/2303.09730",
    )
)
