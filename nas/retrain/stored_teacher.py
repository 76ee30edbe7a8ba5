"""A teacher's answers, computed once and kept: the most probable classes of every image it saw.

    write(teacher, data, ...)       for each step of a training, on its augmented images
    StoredTeacher(answers)          what any number of trainings of the same images learn from

A batch depends on the seed and the step alone, so the answers need no images and no seeds beside
them: step and position say which augmented image is meant. What the k classes leave of the
probability is spread evenly over the others.
Paper: TinyViT, Wu et al. 2022, https://arxiv.org/abs/2207.10666 (Section 3.1)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from nas.errors import CheckpointError
from supernet.batches import TrainingData
from supernet.supervision import Step, Supervision
from supernet.training.checkpoint import from_bytes, to_bytes

MOST_CLASSES = 10
"""How many classes of each image are kept."""
LABEL_WEIGHT = 0.5
"""Share of a network's loss that comes from the labels, as for the children of a supernet."""


@dataclass(frozen=True)
class Answers:
    """A teacher's answers to every image of every step."""

    probabilities: Tensor
    """(steps, B, k) float16, falling."""
    classes: Tensor
    """(steps, B, k) int16 or int32: which classes these are."""
    count: int
    """How many classes there are."""

    def of(self, step: int) -> Tensor:
        """Probabilities of all classes in a step, (B, classes) float32."""
        kept = self.probabilities[step].float()
        others = self.count - kept.shape[1]
        left = (1 - kept.sum(1, keepdim=True)).clamp(min=0) / max(1, others)
        spread = left.expand(-1, self.count).clone()
        spread.scatter_(1, self.classes[step].long(), kept)
        return spread / spread.sum(1, keepdim=True)  # half precision rounds


class StoredTeacher(Supervision):
    """Cross entropy with the teacher's answers, mixed with the labels'."""

    def __init__(self, answers: Answers, label_weight: float = LABEL_WEIGHT) -> None:
        super().__init__()
        self._answers, self._label_weight = answers, label_weight

    def losses(self, step: Step) -> Iterator[Tensor]:
        """One for each child, which sees the whole batch."""
        for child in step.children:
            targets = step.batch(child).targets
            soft = self._answers.of(step.moment.step).to(targets)
            mixed = soft + self._label_weight * (targets - soft)
            yield F.cross_entropy(step.scores(child), mixed)


@torch.inference_mode()
def write(
    teacher: Callable[[Tensor], Tensor],
    data: TrainingData,
    *,
    resolution: int,
    batch_size: int,
    steps: int,
    key: str,
    progress: Callable[[int], None] = lambda step: None,
) -> bytes:
    """A file with a teacher's answers to the images of a training.

    Args:
        teacher: Scores (B, classes) of images (B, C, R, R), in eval mode.
        data: The training's images.
        resolution: Of the images that the teacher sees, R.
        batch_size: Of the training.
        steps: How many the training has.
        key: Says what these answers are; `read` refuses others.
        progress: Called after each step with its number.
    """
    probabilities, classes = [], []
    for step in range(steps):
        scores = teacher(data.batch(step, batch_size, resolution).images).float().cpu()
        count = scores.shape[1]
        top = scores.softmax(1).topk(min(MOST_CLASSES, count), dim=1)
        probabilities.append(top.values.half())
        classes.append(top.indices.to(torch.int16 if count < 2**15 else torch.int32))
        progress(step + 1)
    tensors = {"probabilities": torch.stack(probabilities), "classes": torch.stack(classes)}
    return to_bytes(tensors, {"key": key, "count": count})


def read(content: bytes, key: str) -> Answers:
    """The answers in a file that `write` made.

    Raises:
        CheckpointError: it is damaged, or holds other answers.
    """
    tensors, description = from_bytes(content, "of a teacher")
    if description["key"] != key:
        raise CheckpointError(
            f"The stored answers are those of {description['key']}, not of {key}. Delete them to "
            "have them written again."
        )
    return Answers(tensors["probabilities"], tensors["classes"], description["count"])
