"""The search loop with a surrogate: make candidates, predict their gain, ask the best.

    told codes --> parents: the best fronts, the less crowded first
               --> their children, crossed over and mutated to neighbours; and fresh samples
               --> only those that are feasible and were never asked
               --> error predicted by a surrogate; the known objectives are exact
               --> the one with the largest expected gain is asked (`shortlist`)

The first asks are the cheapest code and samples at even steps of the first known objective. Codes
that are being evaluated count with their predicted error, so that asks without tells between them
spread out.

The asks aim at several goals in turn:

    without budgets    the front; every 4th ask the least error
    with budgets       one budget set after the other; every 10th ask the front

With budgets, the known objectives are further features of a code: the codes within a budget are
similar in size, and those that use more of it are likelier to be good. Without budgets, they
mislead the surrogate at the ends of the front.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from nas.search.asking.history import History
from nas.search.brief import Brief
from nas.search.front import crowding, ranks
from nas.search.protocol import Bools, Codes, Floats
from nas.search.surrogates.acquisition import Belief, logarithms
from nas.search.surrogates.features import Description, Groups
from nas.search.surrogates.protocol import Surrogate
from nas.search.surrogates.shortlist import Known, Shortlist

Sample: TypeAlias = Callable[[int, np.random.Generator], Codes]
"""Draws n codes, repeats allowed: (n, genes)."""

_LEAST_TOLD = 6
_SAMPLES = 1024
_LOWEST = 16
"""Number of the cheapest codes whose neighbours are looked at, and of neighbours of each."""
_DESCENTS = 12
_MOST_ROWS = 400
"""The largest number of codes that a surrogate learns from, the best fronts first."""
_FRONT_EVERY = 10
_BEST_EVERY = 4


@dataclass(frozen=True)
class Effort:
    """Number of candidates, and for how many asks and tells they are used."""

    start: int
    """Samples asked before there is a model."""
    children: int
    strangers: int
    """Fresh samples."""
    renew: int
    """Number of asks or tells after which new candidates are made."""


def turn(asked: int, budget_sets: int, limited: bool) -> int | None:
    """The goal of ask number `asked`: the number of a budget set, or None for the whole front.

    Args:
        asked: Number of asks before.
        budget_sets: Number of budget sets, at least 1.
        limited: Whether there are budgets; without any, the goal of set 0 is the least error.
    """
    if not limited:
        return 0 if asked % _BEST_EVERY == 0 else None
    rounds, place = divmod(asked, _FRONT_EVERY)
    return None if place == 0 else (rounds * (_FRONT_EVERY - 1) + place - 1) % budget_sets


class ModelBased:
    """See the module.

    Args:
        brief: The search.
        history: What was asked and told.
        make: Makes a surrogate of one objective, for features of these groups.
        effort: How many candidates are made.
        hint: A prior estimate of the errors of codes (n, genes), (n,): one more feature.
        sample: Draws samples; None for the space's own.
    """

    def __init__(
        self,
        brief: Brief,
        history: History,
        make: Callable[[Groups], Surrogate],
        effort: Effort,
        *,
        hint: Callable[[Codes], Floats] | None = None,
        sample: Sample | None = None,
    ) -> None:
        self._brief, self._history, self._make, self._effort = brief, history, make, effort
        self._space, self._rng = brief.space, history.rng
        self._sample = sample or brief.space.sample
        costs = brief.known_objectives if brief.constraints is not None else None
        beside = [known for known in (hint, costs) if known is not None]
        self._features = Description(brief.space, *beside)
        self._start: list[Codes] | None = None
        self._ceiling: Floats | None = None
        """The largest known objectives among the first samples."""
        self._shortlist: Shortlist | None = None
        self._judged_at = 0
        """Number of told codes when the shortlist was made."""
        self.surrogate = make(self._features.groups)
        """The surrogate of the first objective."""
        self._others: list[Surrogate] = []

    def next(self) -> Codes:
        """The next code to ask, none for a random one: (<= 1, genes)."""
        history = self._history
        if self._start is None:
            self._start = list(self._starting_codes())
        if self._start:
            return self._start.pop()[None]
        if history.told < _LEAST_TOLD:
            return history.candidates.empty()
        shortlist = self._current()
        if shortlist is None:
            return history.candidates.empty()
        limited = self._brief.constraints is not None
        return shortlist.pop(turn(history.asked, shortlist.budget_sets, limited))

    def _current(self) -> Shortlist | None:
        """The shortlist, made anew when it is used up or old; None when nothing is left to ask."""
        told, known = self._history.told, self._shortlist
        if known and max(told - self._judged_at, known.taken) < self._effort.renew:
            return known
        candidates = self._candidates()
        if not len(candidates):
            return None
        self._shortlist, self._judged_at = self._judge(candidates), told
        return self._shortlist

    def _starting_codes(self) -> Codes:
        """The cheapest code that is found, and samples at even steps of the first known objective.

        A front begins with the cheapest code however large its error is, and among samples it is
        rare. A surrogate that has not seen it expects too little of it to ask for it.
        """
        start = self._effort.start
        codes = self._history.candidates.fresh(self._sample(_SAMPLES, self._rng))
        if len(codes) < start or self._brief.known_objectives is None:
            return codes[:start]
        known = np.asarray(self._brief.known_objectives(codes), dtype=float)
        self._ceiling = known.max(axis=0, initial=-np.inf)
        if not known.shape[1]:
            return codes[:start]
        codes = codes[np.argsort(known[:, 0], kind="stable")]
        steps = np.linspace(0, len(codes) - 1, start).astype(int)
        spread: Codes = codes[self._rng.permutation(steps[1:])]
        return np.concatenate([spread, self._cheapest(codes)])

    def _cheapest(self, codes: Codes) -> Codes:
        """The cheapest neighbour of the cheapest codes, and so on: (1, genes).

        Args:
            codes: The cheapest first.
        """
        assert self._brief.known_objectives is not None
        for _ in range(_DESCENTS):
            neighbours = self._space.mutate(np.repeat(codes[:_LOWEST], _LOWEST, axis=0), self._rng)
            found = np.concatenate([codes[:_LOWEST], self._history.candidates.fresh(neighbours)])
            known = np.asarray(self._brief.known_objectives(found), dtype=float)
            codes = found[np.argsort(known[:, 0], kind="stable")]
        return codes[:1]

    def _candidates(self) -> Codes:
        """Fresh children of the best, and fresh samples: (p, genes)."""
        codes, objectives = self._history.codes, self._history.objectives
        n = self._effort.children
        parents = np.flatnonzero(ranks(objectives) <= 1)
        spread = crowding(objectives[parents])
        duel = self._rng.integers(len(parents), size=(2, 2, n))
        wins = np.where(spread[duel[0]] >= spread[duel[1]], duel[0], duel[1])
        first, second = codes[parents[wins]]
        crossed = self._rng.random(n) < 0.5
        children = np.where(
            crossed[:, None], self._space.crossover(first, second, self._rng), first
        )
        children = self._space.mutate(children, self._rng)
        strangers = self._sample(self._effort.strangers, self._rng)
        return self._history.candidates.fresh(np.concatenate([children, strangers]))

    def _judge(self, candidates: Codes) -> Shortlist:
        """The candidates with their predictions by a surrogate of all results so far."""
        told, pending = self._history.codes, self._history.pending
        codes = np.concatenate([pending, candidates])
        belief, others = self._expected(codes)
        known = self._told_objectives()
        reference = known.max(axis=0)
        if self._ceiling is not None:
            reference[1:] = np.maximum(reference[1:], self._ceiling)
        expected = np.concatenate([belief.median[:, None], others], axis=1)[: len(pending)]
        after = slice(len(pending), None)
        return Shortlist(
            candidates,
            Belief(belief.mean[after], belief.std[after], belief.log),
            others[after],
            self._within(candidates),
            Known(
                np.concatenate([known, expected]),
                self._within(np.concatenate([told, pending])),
            ),
            reference,
        )

    def _told_objectives(self) -> Floats:
        """The told objectives, with errors on the surrogate's scale: (told, m)."""
        objectives = self._history.objectives
        targets, log = logarithms(objectives[:, 0])
        if log:
            objectives[:, 0] = np.exp(targets)
        return objectives

    def _expected(self, codes: Codes) -> tuple[Belief, Floats]:
        """Predictions for codes (p, genes): their errors and other objectives (p, m-1)."""
        history = self._history
        objectives, pending = history.objectives, history.pending
        rows = self._informative(objectives)
        features = self._features(history.codes[rows])
        targets, log = logarithms(objectives[:, 0])
        believed = self._features(pending) if len(pending) else features[:0]
        seen = self._features(codes)
        self.surrogate.fit(features, targets[rows])
        self.surrogate.believe(believed)
        mean, std = self.surrogate.predict(seen)
        if self._brief.known_objectives is not None:
            known = np.asarray(self._brief.known_objectives(codes), dtype=float)
            return Belief(mean, std, log), known.reshape(len(codes), -1)
        return Belief(mean, std, log), self._predicted(features, objectives[rows, 1:], seen)

    def _informative(self, objectives: Floats) -> NDArray[np.int64]:
        """Rows that a surrogate learns from, in the order they were told."""
        if len(objectives) <= _MOST_ROWS:
            return np.arange(len(objectives))
        best = np.argsort(ranks(objectives), kind="stable")[:_MOST_ROWS]
        return np.sort(best)

    def _predicted(self, features: Floats, targets: Floats, seen: Floats) -> Floats:
        """The means of all objectives but the first: (p, m-1)."""
        while len(self._others) < targets.shape[1]:
            self._others.append(self._make(self._features.groups))
        columns: list[Floats] = [np.empty((len(seen), 0))]
        for surrogate, column in zip(self._others, targets.T, strict=True):
            surrogate.fit(features, column)
            columns.append(surrogate.predict(seen)[0][:, None])
        return np.concatenate(columns, axis=1)

    def _within(self, codes: Codes) -> Bools:
        """Which budget sets each code is within, (n, sets); with only one set, all codes are."""
        if self._brief.excess_by_set is None:
            return np.ones((len(codes), 1), dtype=bool)
        within: Bools = np.asarray(self._brief.excess_by_set(codes)) <= 0
        return within
