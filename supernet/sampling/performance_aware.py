"""Performance-aware: good children of each cost come again more often than others.

The search will choose good children, so these should be trained most. Steps move between levels
of cost as in the complexity-aware sampler. Each level remembers the children with the lowest
losses. A child of a step is one of them with some chance, else it is drawn anew. A remembered loss
is replaced each time that its child is trained.
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
from supernet.sampling import SAMPLERS, Child
from supernet.sampling.complexity_aware import ComplexityAware, ComplexityAwareOptions

Bank = dict[tuple[int, ...], float]
"""Losses of the remembered codes of a level."""


@dataclass(frozen=True)
class PerformanceAwareOptions(ComplexityAwareOptions):
    """Also how many children a level remembers, and the chance that one of them comes again."""

    remembered: Annotated[int, Field(ge=1)] = 20
    again: Annotated[float, Field(ge=0, le=1)] = 0.5


class PerformanceAware(ComplexityAware):
    """Children of one level, half of them remembered ones; levels and losses are its state."""

    options: PerformanceAwareOptions

    def __init__(self, scale: CostScale, options: PerformanceAwareOptions) -> None:
        super().__init__(scale, options)
        self._banks: list[Bank] = [{} for _ in range(options.levels)]

    def draw(self, rng: np.random.Generator) -> np.ndarray[Any, np.dtype[np.int16]]:
        """A remembered code of the present level, or a new one, (genes,)."""
        bank = self._banks[self.level]
        if bank and rng.random() < self.options.again:
            return np.array(list(bank)[int(rng.integers(len(bank)))], dtype=np.int16)
        return super().draw(rng)

    def tell(self, children: Sequence[Child], losses: Sequence[float]) -> None:
        """Remember the children with the lowest losses of the level."""
        bank = self._banks[self.level]
        for child, loss in zip(children, losses, strict=True):
            if np.isfinite(loss):
                bank[tuple(self.scale.space.encode(child.architecture).tolist())] = loss
        best = sorted(bank, key=lambda code: (bank[code], code))[: self.options.remembered]
        self._banks[self.level] = {code: bank[code] for code in best}

    def state(self) -> Mapping[str, Any]:
        """The level of the last step, and what each level remembers."""
        banks = [[[list(code), loss] for code, loss in bank.items()] for bank in self._banks]
        return {**super().state(), "banks": banks}

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue with a level and what was remembered."""
        super().load(state)
        self._banks = [{tuple(code): loss for code, loss in bank} for bank in state["banks"]]


SAMPLERS.register(
    Method(
        "performance-aware",
        PerformanceAwareOptions,
        lambda setup, options: PerformanceAware(CostScale.of(setup), options),
        paper="https://arxiv.org/abs/2303.09730",
    )
)
