"""Multi-architecture: several children share one batch, each on a part of its own.

A step costs about as much as one child on the whole batch, whatever the number of children. None
of them sees the whole batch, so none can teach the others: use it with `supervision=labels`.
Paper: ViT-ResNAS, Liao et al. 2021, https://arxiv.org/abs/2109.00642
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
class MultiArchitectureOptions:
    """How many children share a batch."""

    children: Annotated[int, Field(ge=1)] = 4


class MultiArchitecture:
    """Children drawn from the space, on equal parts of the batch."""

    def __init__(self, space: SearchSpace, options: MultiArchitectureOptions) -> None:
        self.space, self.count = space, options.children

    def children(self, moment: Moment, rng: np.random.Generator) -> list[Child]:
        """One child for each part."""
        codes = self.space.sample(self.count, rng)
        return [
            Child(self.space.decode(code), i / self.count, (i + 1) / self.count)
            for i, code in enumerate(codes)
        ]


SAMPLERS.register(
    Method(
        "multi-architecture",
        MultiArchitectureOptions,
        lambda setup, options: MultiArchitecture(setup.supernet.space, options),
        paper="https://arxiv.org/abs/2109.00642",
    )
)
