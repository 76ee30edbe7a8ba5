"""In-place distillation: a step's first child learns from labels and teaches the others.

    teacher  L = H(y, p_t)
    child    L = (1 - w) H(p_t, p_c) + w H(y, p_c)        H cross entropy, p softmax, y targets

The teacher gets no gradient from the others. Samplers put the best teacher first, such as the
largest child. It can rest in some steps, in which it only teaches: its forward pass takes a third
of the time.
Paper: Universally slimmable networks, Yu and Huang 2019, https://arxiv.org/abs/1903.05134
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from search_spaces.errors import TrainingError
from supernet.method import Method
from supernet.supervision import SUPERVISIONS, Step, Supervision


@dataclass(frozen=True)
class InPlaceOptions:
    """What children learn from, and how often their teacher learns."""

    label_weight: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Share of a child's loss that comes from the labels, not the teacher."""
    teacher_every: Annotated[int, Field(ge=1)] = 1
    """The teacher learns in one of so many steps, and only teaches in the others."""


class InPlaceDistillation(Supervision):
    """Cross entropy with the teacher's distribution, mixed with the labels'."""

    def __init__(self, options: InPlaceOptions) -> None:
        super().__init__()
        self.label_weight = options.label_weight
        self.teacher_every = options.teacher_every

    def losses(self, step: Step) -> Iterator[Tensor]:
        """The teacher's, then one for each other child.

        The teacher's has no gradient in steps in which it rests; without others it never does.

        Raises:
            TrainingError: the teacher does not see all images of the step.
        """
        teacher, *others = step.children
        if others and (teacher.begin, teacher.end) != (0.0, 1.0):
            raise TrainingError(
                "With in-place distillation the first child teaches the others, so it needs the "
                "whole batch. This sampler gives it a part: add --recipe supervision=labels."
            )
        rests = bool(others) and step.moment.step % self.teacher_every > 0
        with torch.no_grad() if rests else nullcontext():
            scores = step.scores(teacher)
        yield F.cross_entropy(scores, step.batch(teacher).targets)
        taught = scores.detach().softmax(dim=1)
        for child in others:
            soft = taught[child.rows(len(taught))]
            yield self.loss(step.scores(child), soft, step.batch(child).targets)

    def loss(self, scores: Tensor, taught: Tensor, targets: Tensor) -> Tensor:
        """A child's loss; all are (B, classes), `taught` and `targets` are probabilities."""
        return F.cross_entropy(scores, taught + self.label_weight * (targets - taught))


SUPERVISIONS.register(
    Method(
        "in-place",
        InPlaceOptions,
        lambda setup, options: InPlaceDistillation(options),
        paper="https://arxiv.org/abs/1903.05134",
    )
)
