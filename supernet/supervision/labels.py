"""Labels: every child learns from the labels alone.

L = H(y, p)        H cross entropy, y target probabilities, p softmax of the scores
"""

from __future__ import annotations

from collections.abc import Iterator

import torch.nn.functional as F
from torch import Tensor

from supernet.method import Method, NoOptions
from supernet.supervision import SUPERVISIONS, Step, Supervision


class Labels(Supervision):
    """Cross entropy of each child with the labels."""

    def losses(self, step: Step) -> Iterator[Tensor]:
        """One for each child."""
        for child in step.children:
            yield F.cross_entropy(step.scores(child), step.batch(child).targets)


SUPERVISIONS.register(Method("labels", NoOptions, lambda setup, options: Labels()))
