"""Pruning the largest child: remove the choice with the least saliency per millisecond saved.

    T_b   Taylor term of a batch: the change of the loss when S, the weights that a smaller choice
          does not use, are set to zero: -sum_{w in S} w dL/dw            (`Gradients.taylor`)
    I(S)  = mean_b T_b + 1/2 mean_b T_b^2         second order, the Hessian by its Fisher form (1)
    r(S)  = I(S) / (cost(x) - cost(x without S))  saliency per cost saved                      (2)

    x <- the largest child;  repeat:  the choice with the least r;  x <- x without S

For choices that are not nested (another family, a resolution, a stride) I is the change that
`Gradients.changes` gives. Saliencies are computed again after each sixth of the way to the
least expensive child. The first asks are children along the way; the search then continues as in
`Guided`, with their mutants.

The paper subtracts eta * (latency saved) from I, and squares T, whose mean is zero at a minimum of
the loss. A child of a supernet is not at a minimum, and the sign of its T shows what to remove.

Paper: NViT, Yang et al. 2023, https://arxiv.org/abs/2110.04869 (Section 3.2)
"""

from __future__ import annotations

import numpy as np

from nas.search.asking.cost import Cost, evenly
from nas.search.asking.history import History, SequentialSearcher
from nas.search.brief import Brief
from nas.search.gradients.gene_tables import ChangeTable
from nas.search.gradients.guided import Guided, gradients_of
from nas.search.protocol import Codes, Floats, GeneTable
from nas.search.searchers.registry import SEARCHERS, SearcherEntry

NAME = "saliency"
ROUNDS, BATCHES = 6, 2
"""Number of times that saliencies are computed on the way, and of batches for each."""
_PARENTS = 4
_ASKED = 12


class Saliency:
    """See the module."""

    def __init__(self, brief: Brief, history: History) -> None:
        self._brief, self._history, self._rng = brief, history, history.rng
        self._gradients = gradients_of(brief, NAME)
        self.space = self._gradients.space
        self.table: GeneTable = []
        self._way = history.candidates.empty()

    def learn(self) -> Codes:
        """Allowed children along the way: (<= asked, genes)."""
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
        """The largest child: of several with drawn families the one with the least loss."""
        drawn = [self.space.largest(self._rng) for _ in range(_PARENTS - 1)]
        codes = np.stack([self.space.largest(), *drawn])
        parent: Codes = codes[self._gradients.losses(codes, 0).argmin()]
        return parent

    def saliencies(self, code: Codes, step: int) -> GeneTable:
        """Equation (1) for every other choice of every gene; NaN where nothing is known."""
        batches = [self._gradients.taylor(code, step + b) for b in range(BATCHES)]
        terms = [np.stack(each) for each in zip(*batches, strict=True)]
        nested = [t.mean(axis=0) + 0.5 * (t**2).mean(axis=0) for t in terms]  # (1)
        other = self._gradients.changes(code, step, exact=self.space.num_genes)
        return [np.where(np.isnan(n), o, n) for n, o in zip(nested, other, strict=True)]

    def pruned(self, code: Codes, rows: GeneTable, cost: Cost, target: float) -> list[Codes]:
        """The child after each removal, until its cost is within the target."""
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

    def _smaller(self, code: Codes, rows: GeneTable) -> tuple[Codes, Floats]:
        """All codes that differ in one choice, and their saliency: (n, genes), (n,)."""
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


SEARCHERS.register(
    SearcherEntry(
        name=NAME,
        description="The largest child pruned by saliency per cost saved, and its mutants.",
        paper="https://arxiv.org/abs/2110.04869",
        needs="supernet",
        build=_build,
    )
)
