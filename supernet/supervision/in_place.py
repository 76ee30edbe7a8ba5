"""In-place distillation: a step's first child learns from labels and teaches the others.

    teacher  L = H(y, p_t)
    child    L = (1 - w) H(p_t, p_c) + w H(y, p_c) + f |m_c - m_t|^2 / var(m_t)

H is the cross entropy, p the softmax, y the targets. m is the map that the head reads, averaged
over its positions; its distance is a mean over the channels that both have. It says more of an
image than the probabilities of a few classes do.

The teacher gets no gradient from the others. Samplers put the best teacher first, such as the
largest child. It can rest in some steps, in which it only teaches: its forward pass takes a third
of the time.
Papers: Universally slimmable networks, Yu and Huang 2019, https://arxiv.org/abs/1903.05134;
softmax regression representation learning (the distance), Yang et al. 2021,
https://openreview.net/forum?id=ZzwDy_wiWv
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

LEAST_SHARE, TINY = 0.01, 1e-6
"""Added to a channel's variance: a share of the mean variance, and something above zero."""


@dataclass(frozen=True)
class InPlaceOptions:
    """What children learn from, and how often their teacher learns."""

    label_weight: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Share of a child's loss that comes from the labels, not the teacher."""
    teacher_every: Annotated[int, Field(ge=1)] = 1
    """The teacher learns in one of so many steps, and only teaches in the others."""
    feature_weight: Annotated[float, Field(ge=0)] = 0.0
    """Weight f of the distance between what the heads of a child and of its teacher read.

    It needs a teacher whose features are worth having from the start, such as a donor's."""


class InPlaceDistillation(Supervision):
    """Cross entropy with the teacher's distribution, mixed with the labels'."""

    def __init__(self, options: InPlaceOptions) -> None:
        super().__init__()
        self.label_weight = options.label_weight
        self.teacher_every = options.teacher_every
        self.feature_weight = options.feature_weight

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
            features, scores = step.features(teacher)
        yield F.cross_entropy(scores, step.batch(teacher).targets)
        taught, features = scores.detach().softmax(dim=1), features.detach()
        for child in others:
            rows = child.rows(len(taught))
            own, scores = step.features(child)
            loss = self.loss(scores, taught[rows], step.batch(child).targets)
            if self.feature_weight > 0:
                loss = loss + self.feature_weight * distance(own, features[rows])
            yield loss

    def loss(self, scores: Tensor, taught: Tensor, targets: Tensor) -> Tensor:
        """A child's loss; all are (B, classes), `taught` and `targets` are probabilities."""
        return F.cross_entropy(scores, taught + self.label_weight * (targets - taught))


def distance(own: Tensor, taught: Tensor) -> Tensor:
    """How far features are apart, in variances of the second over the images.

    Args:
        own: A child's features, (B, C).
        taught: Its teacher's, (B, C'); channels that both have are compared.

    Returns:
        A scalar: 0 for equal features, about 2 for those of other images.
    """
    common = min(own.shape[1], taught.shape[1])
    own, taught = own[:, :common], taught[:, :common]
    variance = taught.var(0, correction=0)
    return ((own - taught).square() / (variance + LEAST_SHARE * variance.mean() + TINY)).mean()


SUPERVISIONS.register(
    Method(
        "in-place",
        InPlaceOptions,
        lambda setup, options: InPlaceDistillation(options),
        paper="https://arxiv.org/abs/1903.05134",
    )
)
