"""Differentiable choice of every gene under a table of costs.

    symbol  shape            meaning
    v       choices          slope of the loss per choice, mean over the children sampled so far
    c       choices          cost per choice, a linear model of the known objectives
    l_k     levels           weights of the cost, chosen so that the most probable children spread
                             evenly over the allowed costs
    p_k     choices, levels  softmax(-(v + l_k c) / T) per gene, v and c each of mean spread 1  (1)

    learn   child ~ p_k, k in turn;  v <- mean(v, dL/dp at the child);  T falls                 (2)
    ask     the most probable child of each level, then as `Guided` does, with samples of p_k

The paper learns per-layer weights of a mixture of attentions by minimising L + l * cost, and keeps
the attention with the largest weight. Here the mixture contains every choice of every gene. Its
gradient is known at the sampled children, where it is `Gradients.changes`, and (1) is the result
of mirror descent along the mean of these gradients. One set of slopes serves all levels.

Paper: MPCViT, Zeng et al. 2023, https://arxiv.org/abs/2211.13955
"""

from __future__ import annotations

import numpy as np

from nas.search.asking.cost import Cost, evenly
from nas.search.asking.history import History, SequentialSearcher
from nas.search.brief import Brief
from nas.search.gradients.gene_tables import ChangeTable, linear_table
from nas.search.gradients.guided import Guided, gradients_of
from nas.search.protocol import Codes, Floats, GeneTable
from nas.search.searchers.registry import SEARCHERS, SearcherEntry

NAME = "differentiable"
STEPS = 12
"""Number of children whose gradients are computed, in about 5 passes each."""
_LEVELS = 12
_STRIDE = 5
_WEIGHTS = np.concatenate([[0.0], np.geomspace(0.02, 50.0, 60)])
_HOT, _COLD = 2.0, 0.3


class Differentiable:
    """See the module."""

    def __init__(self, brief: Brief, history: History) -> None:
        self._brief, self._history, self._rng = brief, history, history.rng
        self._gradients = gradients_of(brief, NAME)
        self.space = self._gradients.space
        self.table: GeneTable = []
        self._slopes: GeneTable = []
        self._costs: GeneTable = []
        self._levels = _WEIGHTS

    def learn(self) -> Codes:
        """Equation (2); then the most probable code of each level: (<= levels, genes)."""
        cost = Cost(self._brief, self._rng)
        costs, _ = linear_table(self.space, cost.samples, cost(cost.samples))
        self._costs = _in_units(costs)
        changes = ChangeTable(self.space)
        for step in range(STEPS):
            self._take(changes)
            self._levels = self._spread(cost)
            heat = _HOT * (_COLD / _HOT) ** (step / STEPS)
            level = self._levels[[step * _STRIDE % len(self._levels)]]
            code = self._sample(level, heat)[0]
            changes.add(code, self._gradients.changes(code, step))  # (2)
        self._take(changes)
        self._levels = self._spread(cost)
        return self._sample(self._levels, 0.0)

    def draw(self, n: int) -> Codes:
        """Samples of all levels: (n, genes)."""
        return self._sample(np.resize(self._levels, n), _COLD)

    def _take(self, changes: ChangeTable) -> None:
        """Update the table and the slopes."""
        self.table = changes.rows()
        self._slopes = _in_units(self.table)

    def _spread(self, cost: Cost) -> Floats:
        """Weights of the cost, one for each of several evenly spread costs: (<= levels,)."""
        codes = self._sample(_WEIGHTS, 0.0)
        allowed = np.flatnonzero(self._history.candidates.feasible(codes))
        if not len(allowed):
            return _WEIGHTS[-1:]
        chosen = evenly(codes[allowed], cost(codes[allowed]), _LEVELS)
        return np.array([_WEIGHTS[(codes == code).all(axis=1).argmax()] for code in chosen])

    def _sample(self, levels: Floats, heat: float) -> Codes:
        """One code of p_k (1) per level: of each gene the largest of Gumbel-perturbed logits.

        Args:
            levels: Weights of the cost, (n,).
            heat: T; 0 gives the most probable codes.

        Returns:
            Codes, (n, genes).
        """
        codes = np.empty((len(levels), self.space.num_genes), dtype=np.int16)
        for i, (v, c) in enumerate(zip(self._slopes, self._costs, strict=True)):
            logits = -(v + levels[:, None] * c)
            if heat:
                logits += heat * self._rng.gumbel(size=logits.shape)
            codes[:, i] = logits.argmax(axis=1)
        return self.space.canonical(codes)


def _in_units(rows: GeneTable) -> GeneTable:
    """The rows scaled to a mean deviation of 1 within a gene."""
    unit = float(np.mean([row.std() for row in rows])) + 1e-12
    return [row / unit for row in rows]


def _build(brief: Brief) -> SequentialSearcher:
    history = History(brief)
    return SequentialSearcher(history, Guided(brief, history, Differentiable(brief, history)).next)


SEARCHERS.register(
    SearcherEntry(
        name=NAME,
        description="Choices learnt by gradients of the supernet's loss plus a table of costs.",
        paper="https://arxiv.org/abs/2211.13955",
        needs="supernet",
        build=_build,
    )
)
