"""A search problem: a space, its known objectives and budgets, and the expensive evaluation.

    told objectives   (error, latency on target 1 in ms, ... on target t)
    error = (1 - accuracy) + 1e-10 * loss / (1 + loss)        or, with metric `loss`,
    error = loss

A small validation set (270 images) often gives equal accuracies, so ties are broken by the loss.
The loss term stays below 1e-10, and different accuracies differ by at least 1/images, so it
reorders none of them. (Balanced accuracies can differ by less than 1e-10 and be reordered.) The
front is chosen by accuracy and latency alone, see `nas/search/front_file.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from nas.result import Metric
from nas.search.brief import Brief
from nas.search.objectives import Budgets, MeasuresOf
from nas.search.protocol import (
    Codes,
    CodeSpace,
    Constraints,
    ExcessBySet,
    Floats,
    Gradients,
    KnownObjectives,
)
from supernet.scores import Evaluation

_TIE = 1e-10


Evaluate = Callable[[Codes], Evaluation]
"""One code (genes,) to its evaluation."""


@dataclass(frozen=True)
class Problem:
    """Everything that the engine needs. Every objective is minimised."""

    space: CodeSpace
    evaluate: Evaluate
    measures: MeasuresOf
    budgets: Budgets
    identify: Callable[[Codes], str]
    """One code (genes,) to its architecture's id."""
    metric: Metric = "accuracy"
    targets: tuple[str, ...] = ("cpu",)
    """Names of the targets, in the order of the latencies."""

    def brief(
        self, seed: int, *, evaluations: int | None = None, gradients: Gradients | None = None
    ) -> Brief:
        """The brief of this problem for a searcher.

        Args:
            seed: The searcher's seed.
            evaluations: Number of evaluations of the whole search, if known.
            gradients: The supernet's gradients, for the searchers that learn from them.
        """
        return Brief(
            self.space,
            seed,
            constraints=self.constraints,
            known_objectives=self.known_objectives,
            excess_by_set=self.excess_by_set,
            evaluations=evaluations,
            gradients=gradients,
        )

    @property
    def constraints(self) -> Constraints | None:
        """The budgets as a searcher takes them; None without any."""
        return self._excess if self.budgets else None

    @property
    def known_objectives(self) -> KnownObjectives:
        """Every objective but the error, known without an evaluation: (n, targets) in ms."""
        return self._latency

    @property
    def excess_by_set(self) -> ExcessBySet | None:
        """The largest excess over each budget set, (n, sets); None if there is only one set."""
        return self._excess_by_set if len(self.budgets.budget_sets) > 1 else None

    def objectives(self, evaluation: Evaluation, latency_ms: Sequence[float]) -> Floats:
        """The objectives of one evaluation, as told to a searcher: (1 + targets,)."""
        if self.metric == "loss":
            return np.array([evaluation.loss, *latency_ms])
        score = evaluation.accuracy
        if self.metric == "balanced_accuracy":
            score = evaluation.balanced_accuracy
        return np.array([error(score, evaluation.loss), *latency_ms])

    def _excess(self, codes: Codes) -> Floats:
        return self.budgets.excess(self.measures(codes))

    def _excess_by_set(self, codes: Codes) -> Floats:
        return self.budgets.excess_by_set(self.measures(codes))

    def _latency(self, codes: Codes) -> Floats:
        return np.asarray(self.measures(codes).latency_ms, dtype=float)


def error(score: float, loss: float) -> float:
    """1 - score, plus less than 1e-10 that grows with the loss; NaN for a NaN score."""
    loss = max(loss, 0.0) if np.isfinite(loss) else np.inf
    return (1.0 - score) + _TIE * (1.0 - 1.0 / (1.0 + loss))
