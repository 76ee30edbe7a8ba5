"""Pareto evolution over codes, its children screened by a surrogate.

    told --> parents: two best fronts, the less crowded first
         --> children: half crossed over, all mutated to neighbours; and a few fresh samples
         --> only those feasible and never asked
         --> the child with the largest expected gain in hypervolume is asked; under a budget
             every second one is the one with the largest expected gain in accuracy

The error is predicted (`Surrogate`), cheap objectives are exact; what is being evaluated counts
with its prediction, so that asks without tells between them spread out. One brood of children
serves 4 asks. The first 16 asks are samples at even steps of the first cheap objective.

Paper: NSGA-II, Deb et al. 2002, https://doi.org/10.1109/4235.996017 (ranks, crowding);
LINAS, Cummings et al. 2022, https://arxiv.org/abs/2205.10358 (a predictor in the loop)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nas.search.acquisition import expected_gain, expected_improvement
from nas.search.brief import Brief
from nas.search.front import crowding, ranks
from nas.search.history import History, SequentialSearcher
from nas.search.protocol import Codes, Floats
from nas.search.searchers.registry import SearcherEntry, register
from nas.search.surrogate import Surrogate

_START = 16
_LEAST_TOLD = 6
_RENEW = 4
_SAMPLES = 1024
_CHILDREN = 384
_STRANGERS = 96


@dataclass
class _Brood:
    """Children of one generation with what is expected of them; used for a few asks."""

    codes: Codes
    mean: Floats
    std: Floats
    known: Floats
    """Objectives of what was told, and predicted ones of what is being evaluated."""
    reference: Floats
    told: int
    budget: bool
    """Whether there is one: then every second child is the one that may have the least error."""
    asks: int = 0

    def age(self, told: int) -> int:
        """How many asks or tells have passed since it was made."""
        return max(told - self.told, self.asks)

    def pop(self) -> Codes:
        """The child with the largest expected gain: (1, genes); it counts as known from now."""
        if self.budget and self.asks % 2:
            gains = expected_improvement(self.known, self.mean, self.std)
        else:
            gains = expected_gain(self.known, self.mean, self.std, self.reference)
        best = int(np.argmax(gains))
        code = self.codes[best : best + 1]
        self.known = np.concatenate([self.known, self.mean[best : best + 1]])
        self.codes = np.delete(self.codes, best, axis=0)
        self.mean = np.delete(self.mean, best, axis=0)
        self.std = np.delete(self.std, best)
        self.asks += 1
        return code


class Evolution:
    """See the module."""

    def __init__(self, brief: Brief, history: History) -> None:
        self._space, self._cheap = brief.space, brief.cheap
        self._limited = brief.constraints is not None
        self._history, self._rng = history, history.rng
        self._start: list[Codes] | None = None
        self._ceiling: Floats | None = None
        self._brood: _Brood | None = None

    def next(self) -> Codes:
        """The next code to ask, none for a random one: (<= 1, genes)."""
        history = self._history
        if self._start is None:
            self._start = list(self._starting_codes())
        if self._start:
            return self._start.pop()[None]
        if history.told < _LEAST_TOLD:
            return history.candidates.empty()
        brood = self._brood
        if brood is None or not len(brood.codes) or brood.age(history.told) >= _RENEW:
            children = self._children()
            if not len(children):
                return children
            brood = self._brood = self._screened(children)
        return brood.pop()

    def _starting_codes(self) -> Codes:
        """Samples spread evenly over the first cheap objective, both ends included."""
        codes = self._history.candidates.fresh(self._space.sample(_SAMPLES, self._rng))
        if len(codes) < _START:
            return codes
        if self._cheap is None:
            return codes[:_START]
        cheap = np.asarray(self._cheap(codes), dtype=float)
        self._ceiling = cheap.max(axis=0, initial=-np.inf)
        if not cheap.shape[1]:
            return codes[:_START]
        order = np.argsort(cheap[:, 0], kind="stable")
        steps = np.linspace(0, len(codes) - 1, _START).astype(int)
        spread: Codes = codes[order[self._rng.permutation(steps)]]
        return spread

    def _children(self) -> Codes:
        """Fresh children of the best, and fresh samples: (p, genes)."""
        codes, objectives = self._history.codes, self._history.objectives
        parents = np.flatnonzero(ranks(objectives) <= 1)
        spread = crowding(objectives[parents])
        duel = self._rng.integers(len(parents), size=(2, 2, _CHILDREN))
        wins = np.where(spread[duel[0]] >= spread[duel[1]], duel[0], duel[1])
        first, second = codes[parents[wins]]
        crossed = self._rng.random(_CHILDREN) < 0.5
        children = np.where(
            crossed[:, None], self._space.crossover(first, second, self._rng), first
        )
        children = self._space.mutate(children, self._rng)
        strangers = self._space.sample(_STRANGERS, self._rng)
        return self._history.candidates.fresh(np.concatenate([children, strangers]))

    def _screened(self, children: Codes) -> _Brood:
        """The children with their predicted objectives, by a surrogate of all that was told."""
        history = self._history
        objectives = history.objectives
        objectives[:, 0] = _scaled(objectives[:, 0])
        learnt = objectives if self._cheap is None else objectives[:, :1]
        surrogate = Surrogate(self._space.features(history.codes), learnt, self._rng)
        reference = objectives.max(axis=0)
        if self._ceiling is not None:
            reference[1:] = np.maximum(reference[1:], self._ceiling)
        pending = history.pending
        codes = np.concatenate([pending, children])
        mean, std = surrogate.predict(self._space.features(codes))
        if self._cheap is not None:
            mean = np.concatenate([mean, np.asarray(self._cheap(codes), dtype=float)], axis=1)
        known = np.concatenate([objectives, mean[: len(pending)]])
        after = slice(len(pending), None)
        return _Brood(
            children,
            mean[after],
            std[after],
            known,
            reference,
            told=history.told,
            budget=self._limited,
        )


def _scaled(errors: Floats) -> Floats:
    """Errors on a logarithmic scale: halving one is worth the same anywhere."""
    if errors.min() < 0:
        return errors
    least = 1e-3 * float(errors.max()) or 1.0
    scaled: Floats = np.log(np.maximum(errors, least))
    return scaled


def _build(brief: Brief) -> SequentialSearcher:
    history = History(brief)
    return SequentialSearcher(history, Evolution(brief, history).next)


register(
    SearcherEntry(
        name="evolution",
        description="Pareto evolution without repeats, children screened by a surrogate.",
        paper="https://arxiv.org/abs/2205.10358",
        needs="evaluations",
        build=_build,
    )
)
