"""Losses of a step: the teacher learns from the labels, the other children from the teacher.

    teacher  L = H(y, p_t)
    child    L = (1 - w) H(p_t, p_c) + w H(y, p_c)        H cross entropy, p softmax, y targets

In-place distillation: the teacher is the largest child of the same step and gets no gradient
from the others.
Paper: Universally slimmable networks, Yu and Huang 2019, https://arxiv.org/abs/1903.05134
"""

from __future__ import annotations

from typing import Protocol

import torch.nn.functional as F
from torch import Tensor


class Loss(Protocol):
    """The loss of one child."""

    def __call__(self, scores: Tensor, targets: Tensor, teacher: Tensor | None) -> Tensor:
        """Scores (B, K), target probabilities (B, K), the teacher's scores or None: a scalar."""
        ...


class InPlaceDistillation:
    """Cross entropy with the teacher's distribution, mixed with the labels'."""

    def __init__(self, label_weight: float) -> None:
        self.label_weight = label_weight

    def __call__(self, scores: Tensor, targets: Tensor, teacher: Tensor | None) -> Tensor:
        """The loss of the teacher itself (teacher None) or of a child that it teaches."""
        if teacher is not None:
            soft = teacher.detach().softmax(dim=1)
            targets = soft + self.label_weight * (targets - soft)
        return F.cross_entropy(scores, targets)
