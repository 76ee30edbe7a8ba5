"""Scale consistency: a child also runs at another resolution, and agrees with itself there.

    L = H(y, q) + H(y, q') + w KL(q || q')      q at the higher of two resolutions, q' at the lower

The other resolution is drawn from the space for each child. In a space with one resolution only
the labels are left.
Paper: ResFormer, Tian et al. 2023, https://arxiv.org/abs/2212.00776 (Section 3.2)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from supernet.method import Method, Setup
from supernet.sampling import Child
from supernet.supervision import SUPERVISIONS, Step, Supervision


@dataclass(frozen=True)
class ConsistencyOptions:
    """The weight of the agreement between the two resolutions."""

    weight: Annotated[float, Field(ge=0)] = 1.0


class Consistency(Supervision):
    """Labels at two resolutions; the lower one also learns from the higher one."""

    def __init__(self, setup: Setup, options: ConsistencyOptions) -> None:
        super().__init__()
        resolutions = next(g for g in setup.supernet.space.genes if g.name == "resolution")
        self.resolutions = [int(side) for side in resolutions.choices]
        self.weight = options.weight

    def losses(self, step: Step) -> Iterator[Tensor]:
        """One for each child."""
        for child in step.children:
            pair = sorted(self._both(child), key=lambda each: -each.architecture.resolution)
            scores = [step.scores(each) for each in pair]
            yield sum(
                (
                    F.cross_entropy(found, step.batch(each).targets)
                    for found, each in zip(scores, pair, strict=True)
                ),
                start=self._disagreement(scores),
            )

    def _both(self, child: Child) -> list[Child]:
        """The child, and itself at another resolution if there is one."""
        others = [side for side in self.resolutions if side != child.architecture.resolution]
        if not others:
            return [child]
        side = others[int(torch.randint(len(others), ()))]
        return [child, replace(child, architecture=replace(child.architecture, resolution=side))]

    def _disagreement(self, scores: list[Tensor]) -> Tensor:
        """How far the lower resolution is from the higher one, which learns nothing from it."""
        if len(scores) == 1:
            return scores[0].new_zeros(())
        taught, learns = scores[0].detach().log_softmax(1), scores[1].log_softmax(1)
        return self.weight * F.kl_div(learns, taught, reduction="batchmean", log_target=True)


SUPERVISIONS.register(
    Method(
        "consistency", ConsistencyOptions, Consistency, paper="https://arxiv.org/abs/2212.00776"
    )
)
