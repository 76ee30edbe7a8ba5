"""An external teacher: a network beside the supernet says what is on each image.

    labelled      L = (1 - w) H(p_t, p_c) + w H(y, p_c)       H cross entropy, p softmax, y targets
    unlabelled    L = H(p_t, p_c)

The teacher sees the images of the first child. Images without labels are added to each step's.
Paper: Knowledge distillation, Beyer et al. 2022, https://arxiv.org/abs/2106.05237
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from search_spaces.errors import WeightsError
from supernet.method import ExternalTeacher, Method, Setup
from supernet.supervision import SUPERVISIONS, Step, Supervision


@dataclass(frozen=True)
class TeacherOptions:
    """`label_weight`: share of the labels in the loss of an image that has one."""

    label_weight: Annotated[float, Field(ge=0, le=1)] = 0.5


class Teacher(Supervision):
    """Cross entropy with an external teacher's distribution, mixed with the labels'."""

    def __init__(self, options: TeacherOptions, teacher: ExternalTeacher) -> None:
        super().__init__()
        self.label_weight = options.label_weight
        self._held = (teacher,)  # not a submodule: neither trained nor saved

    def losses(self, step: Step) -> Iterator[Tensor]:
        """One for each child, over its labelled and its unlabelled images.

        Raises:
            ValueError: the first child does not see all images of the step.
        """
        first = step.children[0]
        if (first.begin, first.end) != (0.0, 1.0):
            raise ValueError("The teacher sees the first child's images, so it needs all of them.")
        labelled = step.batch(first).images
        unlabelled = self._unlabelled(step, labelled)
        with torch.no_grad():
            known = self._held[0].probabilities(_joined(labelled, unlabelled))
        taught, extra = known[: len(labelled)], known[len(labelled) :]
        for child in step.children:
            batch = step.batch(child)
            soft = taught[child.rows(len(taught))]
            targets = soft + self.label_weight * (batch.targets - soft)
            more = self._unlabelled(step, labelled, child.architecture.resolution)
            images = None if more is None else _joined(batch.images, more)
            yield F.cross_entropy(step.scores(child, images), torch.cat([targets, extra]))

    def _unlabelled(
        self, step: Step, like: Tensor, resolution: int | None = None
    ) -> Tensor | None:
        """The step's images without labels, at the resolution of `like` or another one."""
        images = self._held[0].unlabelled(
            step.moment.step, len(like), resolution or like.shape[-1]
        )
        return None if images is None else images.to(like.device)


def _joined(images: Tensor, more: Tensor | None) -> Tensor:
    return images if more is None else torch.cat([images, more])


def _made(setup: Setup, options: TeacherOptions) -> Teacher:
    if setup.teacher is None:
        raise WeightsError(
            "The supervision 'teacher' needs a teacher: give --teacher, such as --teacher "
            "tf_efficientnet_lite0."
        )
    return Teacher(options, setup.teacher)


SUPERVISIONS.register(
    Method("teacher", TeacherOptions, _made, paper="https://arxiv.org/abs/2106.05237")
)
