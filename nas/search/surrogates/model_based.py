"""Candidates judged by a surrogate: what the searchers with a model of the error share.

    told --> parents: the best fronts, the less crowded first
         --> children of them, mutated to neighbours or crossed over; and fresh samples
         --> only those feasible and never asked
         --> error predicted by a surrogate, cheap objectives exact
         --> asked: the one with the largest expected gain in hypervolume; every fourth time, and
             where there is a budget mostly, the one with the largest expected gain in accuracy

What is being evaluated counts with its prediction, so that asks without tells between them spread
out. The first asks are samples at even steps of the first cheap objective.

Under a budget the surrogate sees the cheap objectives beside the features of a code: those within
it are alike in size, and what uses more of it is likelier to be good. Without one they mislead at
the ends of the front.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from nas.search.asking.history import History
from nas.search.brief import Brief
from nas.search.front import crowding, ranks
from nas.search.protocol import Bools, Codes, Floats
from nas.search.surrogates import Surrogate
from nas.search.surrogates.acquisition import Belief, answer_gain, hypervolume_gain, logarithms
from nas.search.surrogates.features import Description, Groups

Sample: TypeAlias = Callable[[int, np.random.Generator], Codes]
"""Draws n codes, repeats allowed: (n, genes)."""

_LEAST_TOLD = 6
_SAMPLES = 1024
_MOST_ROWS = 400
"""A surrogate learns from at most so many: the best fronts first."""
_FRONT_EVERY = 10
"""Under budgets every tenth ask is for the front, the others for the answers in turn."""
_BEST_EVERY = 4
"""Without any every fourth ask is for the least error, the others are for the front."""


@dataclass(frozen=True)
class Effort:
    """How many candidates are made, and how long they are used."""

    start: int
    """Samples asked before there is a model."""
    children: int
    strangers: int
    renew: int
    """Asks or tells after which new candidates are made."""


@dataclass
class _Judged:
    """Candidates with what is expected of them."""

    codes: Codes
    belief: Belief
    others: Floats
    can: Bools
    known: Floats
    """Objectives of what was told, and predicted ones of what is being evaluated."""
    answered: Bools
    reference: Floats
    told: int
    asks: int = 0

    def age(self, told: int) -> int:
        """How many asks or tells have passed since they were judged."""
        return max(told - self.told, self.asks)

    def pop(self, question: int | None) -> Codes:
        """The candidate with the largest gain, (1, genes); it counts as known from now.

        Args:
            question: The one whose answer is to improve; None for the whole front.
        """
        gains: Floats = np.zeros(len(self.codes))
        if question is not None:
            answered, can = self.answered[:, question], self.can[:, question]
            gains = answer_gain(self.known[:, 0], answered, self.belief, can)
        if not gains.any():
            gains = hypervolume_gain(self.known, self.belief, self.others, self.reference)
        best = int(np.argmax(gains))
        code = self.codes[best : best + 1]
        row = np.append(self.belief.median[best], self.others[best])
        self.known = np.concatenate([self.known, row[None]])
        self.answered = np.concatenate([self.answered, self.can[best : best + 1]])
        self.codes = np.delete(self.codes, best, axis=0)
        self.others = np.delete(self.others, best, axis=0)
        self.can = np.delete(self.can, best, axis=0)
        self.belief = replace(
            self.belief,
            mean=np.delete(self.belief.mean, best),
            std=np.delete(self.belief.std, best),
        )
        self.asks += 1
        return code


class ModelBased:
    """See the module.

    Args:
        brief: The search.
        history: What was asked and told.
        make: A surrogate of one objective, for features of these groups.
        effort: How hard to look for candidates.
        hint: What is expected of codes (n, genes) beforehand, (n,): one more feature.
        sample: Where samples come from; the space, if not said.
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
        costs = brief.cheap if brief.constraints is not None else None
        beside = [known for known in (hint, costs) if known is not None]
        self._features = Description(brief.space, *beside)
        self._start: list[Codes] | None = None
        self._ceiling: Floats | None = None
        self._judged: _Judged | None = None
        self.surrogate = make(self._features.groups)
        """Of the first objective."""
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
        judged = self._judged
        if (
            judged is None
            or not len(judged.codes)
            or judged.age(history.told) >= self._effort.renew
        ):
            candidates = self._candidates()
            if not len(candidates):
                return candidates
            judged = self._judged = self._judge(candidates)
        return judged.pop(self._question(judged.can.shape[1]))

    def _question(self, questions: int) -> int | None:
        """What the next ask is for: the front, or one question after the other."""
        asked = self._history.asked
        if self._brief.constraints is None:
            return 0 if asked % _BEST_EVERY == 0 else None
        turn, place = divmod(asked, _FRONT_EVERY)
        return None if place == 0 else (turn * (_FRONT_EVERY - 1) + place - 1) % questions

    def _starting_codes(self) -> Codes:
        """Samples spread evenly over the first cheap objective, both ends included."""
        start = self._effort.start
        codes = self._history.candidates.fresh(self._sample(_SAMPLES, self._rng))
        if len(codes) < start or self._brief.cheap is None:
            return codes[:start]
        cheap = np.asarray(self._brief.cheap(codes), dtype=float)
        self._ceiling = cheap.max(axis=0, initial=-np.inf)
        if not cheap.shape[1]:
            return codes[:start]
        order = np.argsort(cheap[:, 0], kind="stable")
        steps = np.linspace(0, len(codes) - 1, start).astype(int)
        spread: Codes = codes[order[self._rng.permutation(steps)]]
        return spread

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

    def _judge(self, candidates: Codes) -> _Judged:
        """What a surrogate of all that was told expects of candidates."""
        history, brief = self._history, self._brief
        told, objectives = history.codes, history.objectives
        rows = self._informative(objectives)
        features = self._features(told[rows])
        targets, log = logarithms(objectives[:, 0])
        pending = history.pending
        believed = self._features(pending) if len(pending) else features[:0]
        codes = np.concatenate([pending, candidates])
        seen = self._features(codes)
        self.surrogate.fit(features, targets[rows])
        self.surrogate.believe(believed)
        mean, std = self.surrogate.predict(seen)
        if brief.cheap is not None:
            others = np.asarray(brief.cheap(codes), dtype=float).reshape(len(codes), -1)
        else:
            others = self._predicted_others(features, objectives[rows, 1:], seen)
        belief = Belief(mean, std, log)
        waiting, after = slice(None, len(pending)), slice(len(pending), None)
        expected = np.concatenate([belief.median[:, None], others], axis=1)
        known = objectives.copy()
        if log:
            known[:, 0] = np.exp(targets)
        reference = known.max(axis=0)
        if self._ceiling is not None:
            reference[1:] = np.maximum(reference[1:], self._ceiling)
        return _Judged(
            candidates,
            Belief(mean[after], std[after], log),
            others[after],
            self._can_answer(candidates),
            np.concatenate([known, expected[waiting]]),
            self._can_answer(np.concatenate([told, pending])),
            reference,
            told=history.told,
        )

    def _informative(self, objectives: Floats) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """Rows that a surrogate learns from, in the order they were told."""
        if len(objectives) <= _MOST_ROWS:
            return np.arange(len(objectives))
        best = np.argsort(ranks(objectives), kind="stable")[:_MOST_ROWS]
        return np.sort(best)

    def _predicted_others(self, features: Floats, targets: Floats, seen: Floats) -> Floats:
        """The means of all objectives but the first: (p, m-1)."""
        while len(self._others) < targets.shape[1]:
            self._others.append(self._make(self._features.groups))
        columns: list[Floats] = [np.empty((len(seen), 0))]
        for surrogate, column in zip(self._others, targets.T, strict=True):
            surrogate.fit(features, column)
            columns.append(surrogate.predict(seen)[0][:, None])
        return np.concatenate(columns, axis=1)

    def _can_answer(self, codes: Codes) -> Bools:
        """Which questions each code can answer: (n, a); the only one, where there are no more."""
        if self._brief.answers is None:
            return np.ones((len(codes), 1), dtype=bool)
        can: Bools = np.asarray(self._brief.answers(codes)) <= 0
        return can
