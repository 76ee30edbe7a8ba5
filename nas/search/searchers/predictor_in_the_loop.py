"""A predictor in the loop: batches of evaluations, and a search on a model of them, in turns.

    random codes, evaluated --> an ensemble that predicts the objectives
         --> NSGA-II on the predictions for some generations, from what is known
         --> its best codes not evaluated yet --> evaluated --> a new ensemble --> ...

Objectives that are known beforehand are not predicted. Unlike in `evolution`, which chooses one
candidate after another, a whole batch is chosen by one ensemble and can be evaluated at once. The
best codes are those on the first predicted fronts; under a budget, every second one is the code
with the least predicted error minus one standard deviation.

Paper: LINAS, Cummings et al. 2022, https://arxiv.org/abs/2205.10358 (Algorithm 1)
"""

from __future__ import annotations

import numpy as np

from nas.search.asking.history import GenerationSearcher, History
from nas.search.asking.variation import Indices, by_rank, children
from nas.search.brief import Brief
from nas.search.protocol import Codes, Floats
from nas.search.searchers.registry import SEARCHERS, SearcherEntry
from nas.search.surrogates.acquisition import logarithms
from nas.search.surrogates.ridge import RidgeEnsemble

_BATCH = (8, 50)
"""Size of a batch: a sixteenth of all evaluations, at least 8 and at most 50. The first two
batches are random."""
_LEAST_TOLD = 6
_POPULATION = 100
_GENERATIONS = 12


class PredictorInTheLoop:
    """See the module."""

    def __init__(self, brief: Brief, history: History) -> None:
        self._space, self._known_objectives, self._history = (
            brief.space,
            brief.known_objectives,
            history,
        )
        self._limited = brief.constraints is not None
        least, most = _BATCH
        self._batch = int(np.clip((brief.evaluations or 0) // 16, least, most))
        self._ensembles: list[RidgeEnsemble] = []

    def generation(self) -> Codes:
        """The codes to ask next, none for a random one: (<= batch, genes)."""
        history = self._history
        if history.asked < 2 * self._batch or history.told < _LEAST_TOLD:
            return history.candidates.fresh(self._space.sample(self._batch, history.rng))
        known = history.objectives
        known[:, 0], _ = logarithms(known[:, 0])
        self._fit(known)
        fresh = history.candidates.fresh(self._evolve(known))
        return fresh[self._best(fresh)] if len(fresh) else fresh

    def _fit(self, known: Floats) -> None:
        """One ensemble per objective that is not known beforehand."""
        learnt = known if self._known_objectives is None else known[:, :1]
        self._ensembles = [RidgeEnsemble(self._history.rng) for _ in learnt.T]
        features = self._space.features(self._history.codes)
        for ensemble, column in zip(self._ensembles, learnt.T, strict=True):
            ensemble.fit(features, column)

    def _predict(self, codes: Codes) -> tuple[Floats, Floats]:
        """Objectives (n, m), the known ones exact, and the deviation of the first (n,)."""
        features = self._space.features(codes)
        predicted = [ensemble.predict(features) for ensemble in self._ensembles]
        columns = [mean[:, None] for mean, _ in predicted]
        if self._known_objectives is not None:
            columns.append(
                np.asarray(self._known_objectives(codes), dtype=float).reshape(len(codes), -1)
            )
        return np.concatenate(columns, axis=1), predicted[0][1]

    def _evolve(self, known: Floats) -> Codes:
        """All codes that NSGA-II made on the predictions: (n, genes)."""
        history, rng = self._history, self._history.rng
        best = by_rank(known)[:_POPULATION]
        population, objectives = history.codes[best], known[best]
        seen = [self._space.sample(_POPULATION, rng)]
        for _ in range(_GENERATIONS):
            offspring = children(self._space, population, _POPULATION, rng)
            offspring = offspring[history.candidates.feasible(offspring)]
            offspring = _distinct(offspring, population)
            if not len(offspring):
                continue
            seen.append(offspring)
            population = np.concatenate([population, offspring])
            objectives = np.concatenate([objectives, self._predict(offspring)[0]])
            best = by_rank(objectives)[:_POPULATION]
            population, objectives = population[best], objectives[best]
        return np.concatenate(seen)

    def _best(self, fresh: Codes) -> Indices:
        """Which of the fresh codes to evaluate, best first: (<= batch,).

        Codes that are being evaluated take part with their predicted objectives.
        """
        waiting = len(self._history.pending)
        objectives, std = self._predict(np.concatenate([self._history.pending, fresh]))
        order = by_rank(objectives)
        if self._limited:
            lowest = np.argsort(objectives[:, 0] - std, kind="stable")
            order = np.stack([lowest, order], axis=1).reshape(-1)
            order = order[np.sort(np.unique(order, return_index=True)[1])]
        chosen: Indices = order[order >= waiting][: self._batch] - waiting
        return chosen


def _distinct(codes: Codes, others: Codes) -> Codes:
    """The different codes that are not among the others: (k, genes)."""
    both = np.concatenate([others, codes])
    first = np.sort(np.unique(both, axis=0, return_index=True)[1])
    return both[first[first >= len(others)]]


def _build(brief: Brief) -> GenerationSearcher:
    history = History(brief)
    return GenerationSearcher(history, PredictorInTheLoop(brief, history).generation)


SEARCHERS.register(
    SearcherEntry(
        name="predictor",
        description="Batches of evaluations, each chosen by NSGA-II on a learnt predictor.",
        paper="https://arxiv.org/abs/2205.10358",
        build=_build,
    )
)
