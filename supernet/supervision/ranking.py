"""Ranking: the labels, and a margin that keeps the children in the order of their costs.

    L = sum_i H(y, q_i) + w sum_{i < j} max(0, L_j - L_i + m)      c_i < c_j (cost)

Children with more multiply-accumulates are better as a rule. A costlier child whose loss is higher
than a cheaper one's, or lower by less than the margin, is pushed down and the cheaper one up. The
children of a step are run together, so a step needs the memory of all of them.
Paper: RD-NAS, Dong et al. 2023, https://arxiv.org/abs/2301.09850, with multiply-accumulates as the
cheap score
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from supernet.method import Method, Setup
from supernet.supervision import SUPERVISIONS, Step, Supervision


@dataclass(frozen=True)
class RankingOptions:
    """The margin between two losses, and the weight of the order beside the labels."""

    margin: Annotated[float, Field(ge=0)] = 0.0
    weight: Annotated[float, Field(ge=0)] = 0.5


class Ranking(Supervision):
    """Cross entropy with the labels, and a penalty on pairs in the wrong order."""

    def __init__(self, setup: Setup, options: RankingOptions) -> None:
        super().__init__()
        self.options, self._space, self._macs = options, setup.supernet.space, setup.macs

    def losses(self, step: Step) -> Iterator[Tensor]:
        """One for the whole group."""
        found = [
            F.cross_entropy(step.scores(child), step.batch(child).targets)
            for child in step.children
        ]
        codes = np.stack([self._space.encode(child.architecture) for child in step.children])
        macs = self._macs(codes)
        order = np.argsort(macs, kind="stable")
        pairs = [(i, j) for i, j in combinations(order, 2) if macs[i] < macs[j]]
        penalties = [F.relu(found[j] - found[i] + self.options.margin) for i, j in pairs]
        total = torch.stack(found).sum()
        if penalties:
            total = total + self.options.weight * torch.stack(penalties).sum()
        yield total


SUPERVISIONS.register(
    Method("ranking", RankingOptions, Ranking, paper="https://arxiv.org/abs/2301.09850")
)
