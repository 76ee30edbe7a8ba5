"""Pruning the largest children by what their units are worth per millisecond that they take.

    T_b   Taylor term of a batch: what the loss changes when S, the weights that a smaller choice
          does not use, are set to zero: -sum_{w in S} w dL/dw                (`Lessons.taylor`)
    I(S)  = mean_b T_b + 1/2 mean_b T_b^2         second order, the Hessian by its Fisher form (1)
    r(S)  = I(S) / (cost(x) - cost(x without S))  saliency per cost saved                      (2)

    x <- the largest child;  again and again:  take the choice of least r;  x <- x without S

Choices that are not nested (another family, a resolution, a stride) take what `Lessons.changes`
says for I. Saliencies are computed anew each time a part of the way to the cheapest child is done.
Asked are children along the way, then as `Guided` does, with their mutants.

The paper takes off eta * (latency saved) from I, and squares T: at a minimum of the loss its mean
is zero. A child of a supernet is at no minimum, and its T tells by its sign what is better gone.

Paper: NViT, Yang et al. 2023, https://arxiv.org/abs/2110.04869 (Section 3.2)
"""

from __future__ import annotations

import numpy as np

from nas.search.asking.cost import Cost, evenly
from nas.search.asking.history import History, SequentialSearcher
from nas.search.brief import Brief
from nas.search.gradients.gene_tables import ChangeTable, Rows
from nas.search.gradients.guided import Guided, lessons_of
from nas.search.protocol import Codes, Floats
from nas.search.searchers.registry import SearcherEntry, register

NAME = "saliency"
ROUNDS, BATCHES = 6, 2
"""How often saliencies are computed on the way, and from how many batches."""
_PARENTS = 4
_ASKED = 12


class Saliency:
    """See the module."""

    def __init__(self, brief: Brief, history: History) -> None:
        self._brief, self._history, self._rng = brief, history, history.rng
        self._lessons = lessons_of(brief, NAME)
        self.space = self._lessons.space
        self.table: Rows = []
        self._way = history.candidates.empty()

    def learn(self) -> Codes:
        """Children along the way that are allowed: (<= asked, genes)."""
        cost = Cost(self._brief, self._rng)
        code = self._parent()
        changes = ChangeTable(self.space)
        way = [code]
        first, last = cost(np.stack([code, self.space.smallest()]))
        for number in range(ROUNDS):
            rows = self.saliencies(code, number * BATCHES)
            changes.add(code, rows)
            target = first + (last - first) * (number + 1) / ROUNDS
            way += self.pruned(code, rows, cost, target)
            code = way[-1]
        self.table = changes.rows()
        self._way = np.stack(way)
        allowed = self._way[self._history.candidates.feasible(self._way)]
        return evenly(allowed, cost(allowed), _ASKED)

    def draw(self, n: int) -> Codes:
        """Mutants of the children along the way: (n, genes)."""
        parents = self._way[self._rng.integers(len(self._way), size=n)]
        return self.space.mutate(parents, self._rng)

    def _parent(self) -> Codes:
        """Of the largest children, families drawn, the one with the least loss: (genes,)."""
        drawn = [self.space.largest(self._rng) for _ in range(_PARENTS - 1)]
        codes = np.stack([self.space.largest(), *drawn])
        parent: Codes = codes[self._lessons.losses(codes, 0).argmin()]
        return parent

    def saliencies(self, code: Codes, step: int) -> Rows:
        """Equation (1) for every other choice of every gene, NaN where nothing is known."""
        batches = [self._lessons.taylor(code, step + b) for b in range(BATCHES)]
        terms = [np.stack(each) for each in zip(*batches, strict=True)]
        nested = [t.mean(axis=0) + 0.5 * (t**2).mean(axis=0) for t in terms]  # (1)
        other = self._lessons.changes(code, step, exact=self.space.num_genes)
        return [np.where(np.isnan(n), o, n) for n, o in zip(nested, other, strict=True)]

    def pruned(self, code: Codes, rows: Rows, cost: Cost, target: float) -> list[Codes]:
        """What is left after each choice taken, until the cost is within the target."""
        left = []
        now = cost(code[None])[0]
        while now > target:
            codes, saliency = self._smaller(code, rows)
            costs = cost(codes)
            worth = np.where(costs < now - 1e-9, saliency / np.maximum(now - costs, 1e-9), np.nan)
            if np.isnan(worth).all():
                break
            best = int(np.nanargmin(worth))  # (2)
            code, now = codes[best], costs[best]
            left.append(code)
        return left

    def _smaller(self, code: Codes, rows: Rows) -> tuple[Codes, Floats]:
        """All codes one choice away, and their saliency: (n, genes), (n,)."""
        active = self.space.active(code[None])[0]
        places = [(i, c) for i, row in enumerate(rows) if active[i] for c in range(len(row))]
        genes, choices = np.array(places).T
        codes = np.repeat(code[None], len(places), axis=0)
        codes[np.arange(len(places)), genes] = choices
        saliency = np.array([rows[i][c] - rows[i][code[i]] for i, c in places])
        return self.space.canonical(codes), saliency


def _build(brief: Brief) -> SequentialSearcher:
    history = History(brief)
    return SequentialSearcher(history, Guided(brief, history, Saliency(brief, history)).next)


register(
    SearcherEntry(
        name=NAME,
        description="The largest child pruned by saliency per cost saved, and what is near it.",
        paper="https://arxiv.org/abs/2110.04869",
        needs="supernet",
        build=_build,
    )
)
