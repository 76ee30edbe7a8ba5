"""Fair: over a round, each choice of each gene is drawn equally often.

A gene's choices are dealt out in a shuffled order, then shuffled anew. So after any number of
children, how often two choices of one gene were dealt differs by one at most. A gene of a block
beyond the depth is dealt too, without an effect. None of the children is sure to be large, so none
can teach the others: use it with `supervision=labels`.
Paper: FairNAS, Chu et al. 2021, https://arxiv.org/abs/1907.01845
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from search_spaces.space import SearchSpace
from supernet.method import Method
from supernet.sampling import SAMPLERS, Child, Moment


@dataclass(frozen=True)
class FairOptions:
    """How many children are drawn for a step."""

    children: Annotated[int, Field(ge=1)] = 4


class Fair:
    """Deals out the choices of each gene; what is left of each deal is its state."""

    def __init__(self, space: SearchSpace, options: FairOptions) -> None:
        self.space, self.count = space, options.children
        self._left: list[list[int]] = [[] for _ in space.genes]

    def children(self, moment: Moment, rng: np.random.Generator) -> list[Child]:
        """Children made of the next choices of each gene."""
        codes = np.array([self._next(rng) for _ in range(self.count)], dtype=np.int16)
        return [Child(self.space.decode(code)) for code in self.space.canonical(codes)]

    def tell(self, children: Sequence[Child], losses: Sequence[float]) -> None:
        """Losses change nothing."""

    def state(self) -> Mapping[str, Any]:
        """The choices that are still to be dealt, for each gene."""
        return {"left": [list(left) for left in self._left]}

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue with the choices that were left."""
        self._left = [list(left) for left in state["left"]]

    def _next(self, rng: np.random.Generator) -> list[int]:
        for left, gene in zip(self._left, self.space.genes, strict=True):
            if not left:
                left.extend(rng.permutation(gene.cardinality).tolist())
        return [left.pop() for left in self._left]


SAMPLERS.register(
    Method(
        "fair",
        FairOptions,
        lambda setup, options: Fair(setup.supernet.space, options),
        paper="https://arxiv.org/abs/1907.01845",
    )
)
