"""Gates under a budget: the loss is minimised, the price of the budget is raised.

    min over p  max over y >= 0   <v, q> + y (<c, q> + c_0 - B) + m/2 |p - u|^2              (1)

    symbol  meaning
    p       gates: the share of each choice of a gene, >= 0 and of sum 1 per gene
    q       p, where a block's gates are multiplied by the share of depths that include the block
    v       slope of the loss per choice, averaged over the roundings of p so far
    c, c_0  cost per choice, a linear model of the known objectives
    B       a budget; y its price
    u       equal gates for all choices of a gene: keeps (1) from jumping between corners

    p <- project(p - a (d/dp <v + y c, q> + m (p - u)))    descent, onto the simplices       (2)
    y <- max(0, y + b (<c, q> + c_0 - B))                  ascent                            (3)

Budgets fall from the costs of the most to those of the least expensive allowed children; each
budget begins with the gates of the one before. At every budget v is updated by the gradients of
rounded gates, then (2) and (3) run for a while. The first asks are the likeliest roundings within
many budgets; the search then continues as in `Guided`.

The paper's gates are heads, channels and skipped blocks of one ViT, whose weights are trained at
the same time by distillation from the original ViT. Here the gates are a space's choices, and the
weights are the supernet's.

Paper: UVC, Yu et al. 2022, https://arxiv.org/abs/2203.08243
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nas.search.asking.cost import Cost, evenly
from nas.search.asking.history import History, SequentialSearcher
from nas.search.brief import Brief
from nas.search.gradients.gene_tables import ChangeTable, linear_table
from nas.search.gradients.guided import Guided, gradients_of
from nas.search.protocol import Codes, Floats, GeneTable
from nas.search.searchers.registry import SEARCHERS, SearcherEntry

if TYPE_CHECKING:
    from search_spaces.space import SearchSpace

NAME = "primal-dual"
BUDGETS, STEPS = 6, 2
"""Number of budgets, and number of children per budget whose gradients are computed."""
_FINE = 20
_DRAWN = 128
_ASKED = 12
_ITERATIONS = 100
_RATE, _PRICE_RATE, _SMOOTH = 0.05, 0.2, 0.03
_FAR = 1e9


class PrimalDual:
    """See the module."""

    def __init__(self, brief: Brief, history: History) -> None:
        self._brief, self._history, self._rng = brief, history, history.rng
        self._gradients = gradients_of(brief, NAME)
        self.space = self._gradients.space
        self.table: GeneTable = []
        self._gates = Gates(self.space)
        self._solved: list[Floats] = []

    def learn(self) -> Codes:
        """Allowed roundings of the gates, over all budgets: (<= asked, genes)."""
        cost = Cost(self._brief, self._rng)
        prices, constant = linear_table(self.space, cost.samples, cost(cost.samples))
        allowed = cost.samples[self._history.candidates.feasible(cost.samples)]
        costs = cost(allowed if len(allowed) else cost.samples)
        changes = ChangeTable(self.space)
        for number, budget in enumerate(np.linspace(costs.max(), costs.min(), BUDGETS)):
            for step in range(STEPS):
                code = self._gates.draw(1, self._rng)[0]
                changes.add(code, self._gradients.changes(code, number * STEPS + step))
                self.table = changes.rows()
                self._gates.solve(self.table, prices, budget - constant)
        self._gates.reset()
        rounded: list[Codes] = []
        for budget in np.linspace(costs.max(), costs.min(), _FINE):
            self._gates.solve(self.table, prices, budget - constant)
            self._solved.append(self._gates.values)
            rounded += self._rounded(cost, budget)
        codes = np.stack(rounded) if rounded else self._history.candidates.empty()
        return evenly(codes, cost(codes), _ASKED)

    def draw(self, n: int) -> Codes:
        """Codes drawn from the gates of all budgets, mixed: (n, genes)."""
        each = -(-n // len(self._solved))
        drawn = [self._gates.draw(each, self._rng, values) for values in self._solved]
        mixed: Codes = self._rng.permutation(np.concatenate(drawn))[:n]
        return mixed

    def _rounded(self, cost: Cost, budget: float) -> list[Codes]:
        """The likeliest drawn code within the budget, (genes,); none if no drawn code is."""
        codes = self._gates.draw(_DRAWN, self._rng)
        codes = codes[self._history.candidates.feasible(codes)]
        codes = codes[cost(codes) <= budget] if len(codes) else codes
        return [codes[self._gates.likelihood(codes).argmax()]] if len(codes) else []


class Gates:
    """The gates of all genes, (genes, most choices), and the price of their budget."""

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        sizes = np.array([gene.cardinality for gene in space.genes])
        self._open = np.arange(sizes.max()) < sizes[:, None]
        self._even = self._open / sizes[:, None]
        self._depth, self._awake = _depths(space, self._open.shape)
        self._holds = (self._depth == np.arange(len(sizes))[:, None]).astype(float)
        self.reset()

    def reset(self) -> None:
        """Back to the start."""
        self.values, self.price = self._even.copy(), 0.0

    def solve(self, slopes: GeneTable, costs: GeneTable, budget: float) -> None:
        """Iterate (2) and (3)."""
        v, c = self.padded(slopes), self.padded(costs)
        unit = np.mean([row.std() for row in slopes]) + 1e-12
        each = np.mean([row.std() for row in costs]) + 1e-12
        for _ in range(_ITERATIONS):
            force = self.force(v / unit + self.price * c / each)
            force += _SMOOTH * (self.values - self._even)
            self.values = projected(self.values - _RATE * force, self._open)  # (2)
            excess = float((c * self.values * self.share()).sum()) - budget
            self.price = max(0.0, self.price + _PRICE_RATE * excess)  # (3)

    def draw(self, n: int, rng: np.random.Generator, values: Floats | None = None) -> Codes:
        """Codes whose choices are drawn with the gates' shares, or with `values`: (n, genes)."""
        cumulative = (self.values if values is None else values).cumsum(axis=1)
        uniform = rng.random((n, len(cumulative), 1)) * cumulative[:, -1:]
        return self._space.canonical((uniform > cumulative).sum(axis=2).astype(np.int16))

    def likelihood(self, codes: Codes) -> Floats:
        """Log likelihood of codes under the gates' shares: (n,)."""
        shares = self.values[np.arange(codes.shape[1]), codes]
        logs: Floats = (np.log(shares + 1e-12) * self._space.active(codes)).sum(axis=1)
        return logs

    def share(self) -> Floats:
        """The share of depths in which each gene is active: (genes, 1)."""
        inside = (self._awake * self.values[self._depth]).sum(axis=1, keepdims=True)
        return np.where(self._depth[:, None] >= 0, inside, 1.0)

    def force(self, w: Floats) -> Floats:
        """d/dp <w, q>: (genes, choices)."""
        force = w * self.share()
        inside = (w * self.values).sum(axis=1, keepdims=True) * self._awake
        forces: Floats = force + self._holds @ inside
        return forces

    def padded(self, rows: GeneTable) -> Floats:
        """One number per gate: (genes, choices), 0 where a gene has no such choice."""
        padded = np.zeros(self._open.shape)
        padded[self._open] = np.concatenate(rows)
        return padded


def projected(points: Floats, there: NDArray[np.bool_]) -> Floats:
    """The nearest points >= 0 of sum 1, row by row, of the columns that are there.

    Paper: Duchi et al. 2008, https://doi.org/10.1145/1390156.1390191 (Figure 1)
    """
    points = np.where(there, points, -_FAR)
    ordered = -np.sort(-points, axis=1)
    excess = (ordered.cumsum(axis=1) - 1.0) / np.arange(1, points.shape[1] + 1)
    last = (ordered > excess).sum(axis=1) - 1
    threshold = excess[np.arange(len(points)), last]
    nearest: Floats = np.maximum(points - threshold[:, None], 0.0)
    return nearest


def _depths(space: SearchSpace, shape: tuple[int, ...]) -> tuple[NDArray[np.int64], Floats]:
    """The depth gene of each gene, -1 for none; its active depths, (genes, choices)."""
    place = {gene.name: i for i, gene in enumerate(space.genes)}
    depth, awake = np.full(shape[0], -1), np.zeros(shape)
    for i, gene in enumerate(space.genes):
        if gene.block is not None:
            stage, block = gene.block
            depth[i] = place[f"stages.{stage}.depth"]
            depths = np.array(space.genes[depth[i]].choices)
            awake[i, : len(depths)] = depths > block
    return depth, awake


def _build(brief: Brief) -> SequentialSearcher:
    history = History(brief)
    return SequentialSearcher(history, Guided(brief, history, PrimalDual(brief, history)).next)


SEARCHERS.register(
    SearcherEntry(
        name=NAME,
        description="Gates on all choices, solved primal-dual for a sweep of budgets.",
        paper="https://arxiv.org/abs/2203.08243",
        needs="supernet",
        build=_build,
    )
)
