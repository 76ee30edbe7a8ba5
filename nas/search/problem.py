"""One search problem: a space, what is known beforehand, and the dear evaluation.

    told objectives   (error, latency on target 1 in ms, ... on target t)
    error = (1 - accuracy) + 1e-10 * loss / (1 + loss)

A small validation set ties often (270 images), so ties are broken by loss. The second term stays
below 1e-10. Accuracies that differ do so by at least 1/images, so it reorders none of them; so
with balanced accuracies, but for ones nearer than 1e-10 to each other. The front is chosen by
accuracy and latency alone, see `nas/search/front_file.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from nas.search.objectives import Budgets, MeasuresOf
from nas.search.protocol import Cheap, Codes, CodeSpace, Constraints, Floats
from supernet.scores import Evaluation

Metric = Literal["accuracy", "balanced_accuracy"]

_TIE = 1e-10


Evaluate = Callable[[Codes], Evaluation]
"""One code (genes,) to its evaluation."""


@dataclass(frozen=True)
class Problem:
    """What the engine needs to search; its objectives are minimised all at once."""

    space: CodeSpace
    evaluate: Evaluate
    measures: MeasuresOf
    budgets: Budgets
    identify: Callable[[Codes], str]
    """One code (genes,) to its architecture's id."""
    metric: Metric = "accuracy"
    targets: tuple[str, ...] = ("cpu",)
    """Names of the targets, in the order of the latencies."""

    @property
    def constraints(self) -> Constraints | None:
        """The budgets as a searcher takes them; None without any."""
        return self._excess if self.budgets else None

    @property
    def cheap(self) -> Cheap:
        """Every objective but the error, known without an evaluation: (n, targets) in ms."""
        return self._latency

    @property
    def answers(self) -> Constraints | None:
        """By code and question, the largest excess: (n, questions), an answer where <= 0.

        None where there is one question only: then every feasible code is an answer.
        """
        return self._excess_by_answer if len(self.budgets.budget_sets) > 1 else None

    def objectives(self, evaluation: Evaluation, latency_ms: Sequence[float]) -> Floats:
        """What a searcher is told of one evaluation: (1 + targets,)."""
        score = evaluation.accuracy
        if self.metric == "balanced_accuracy":
            score = evaluation.balanced_accuracy
        return np.array([error(score, evaluation.loss), *latency_ms])

    def _excess(self, codes: Codes) -> Floats:
        return self.budgets.excess(self.measures(codes))

    def _excess_by_answer(self, codes: Codes) -> Floats:
        return self.budgets.excess_by_answer(self.measures(codes))

    def _latency(self, codes: Codes) -> Floats:
        return np.asarray(self.measures(codes).latency_ms, dtype=float)


def error(score: float, loss: float) -> float:
    """1 - score, plus less than 1e-10 that grows with the loss; NaN for a NaN score."""
    loss = max(loss, 0.0) if np.isfinite(loss) else np.inf
    return (1.0 - score) + _TIE * (1.0 - 1.0 / (1.0 + loss))
