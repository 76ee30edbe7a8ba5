"""The codes asked and told so far, and the ask/tell loop around a searcher's rule.

    ask(n)   n times: ask the code that the rule gives; if it gives none, a random fresh code
    tell     keep finite objectives; a failed evaluation only counts as asked

A searcher is a rule (which codes to ask next) in a `SequentialSearcher` or a
`GenerationSearcher`. These two fulfil the `Searcher` protocol.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from nas.search.asking.candidates import Candidates
from nas.search.asking.listing import code_key
from nas.search.brief import Brief
from nas.search.protocol import Codes, Floats


class History:
    """The codes that were asked, and the objectives that were told."""

    def __init__(self, brief: Brief) -> None:
        self.rng = np.random.default_rng(brief.seed)
        self.candidates = Candidates(brief.space, self.rng, brief.constraints)
        self.asked = 0
        self.told = 0
        """Number of evaluations that were told and did not fail."""
        self._pending: dict[bytes, Codes] = {}
        self._codes: list[Codes] = []
        self._objectives: list[Floats] = []

    @property
    def codes(self) -> Codes:
        """The codes that were told, oldest first: (told, genes)."""
        return np.stack(self._codes) if self._codes else self.candidates.empty()

    @property
    def objectives(self) -> Floats:
        """The objectives of `codes`: (told, m)."""
        return np.stack(self._objectives)

    @property
    def pending(self) -> Codes:
        """The codes that were asked and not told yet, oldest first: (pending, genes)."""
        waiting = list(self._pending.values())
        return np.stack(waiting) if waiting else self.candidates.empty()

    def since(self, told: int) -> tuple[Codes, Floats]:
        """Codes and objectives told after the first `told`: (n, genes), (n, m), n >= 1."""
        return np.stack(self._codes[told:]), np.stack(self._objectives[told:])

    def ask(self, code: Codes) -> None:
        """Remember that a code (genes,) was asked."""
        self.candidates.mark(code[None])
        self._pending[code_key(code)] = code
        self.asked += 1

    def tell(self, codes: Codes, objectives: Floats) -> None:
        """Remember the objectives (n, m) of codes (n, genes)."""
        self.candidates.mark(codes)
        rows = np.asarray(objectives, dtype=float)
        succeeded = np.isfinite(rows).all(axis=1).tolist()
        for code, row, good in zip(codes, rows, succeeded, strict=True):
            self._pending.pop(code_key(code), None)
            if good:
                self._codes.append(code)
                self._objectives.append(row)
                self.told += 1


Rule: TypeAlias = Callable[[], Codes]
"""Gives fresh codes to ask next; if it gives none, a random code is asked. `SequentialSearcher`
takes the first of them, `GenerationSearcher` all."""


class SequentialSearcher:
    """A searcher that decides on one code at a time.

    Args:
        history: The history that the rule uses.
        rule: Called for every code.
    """

    def __init__(self, history: History, rule: Rule) -> None:
        self._history, self._rule = history, rule

    def ask(self, n: int) -> Codes:
        """At most `n` codes that were not asked before: (<= n, genes)."""
        asked: list[Codes] = []
        while len(asked) < n:
            codes = self._rule()
            if not len(codes):
                codes = self._history.candidates.take(1)
            if not len(codes):
                break
            self._history.ask(codes[0])
            asked.append(codes[0])
        return np.stack(asked) if asked else self._history.candidates.empty()

    def tell(self, codes: Codes, objectives: Floats) -> None:
        """Learn from (n, m) objectives; NaN where an evaluation failed."""
        self._history.tell(codes, objectives)


class GenerationSearcher:
    """A searcher that decides on many codes at once and asks them in their order.

    Args:
        history: The history that the rule uses.
        rule: Called again when all its codes were asked.
    """

    def __init__(self, history: History, rule: Rule) -> None:
        self._history, self._rule = history, rule
        self._waiting: deque[Codes] = deque()

    def ask(self, n: int) -> Codes:
        """At most `n` codes that were not asked before: (<= n, genes)."""
        candidates = self._history.candidates
        asked: list[Codes] = []
        while len(asked) < n:
            if not self._waiting:
                self._waiting.extend(self._rule())
            if self._waiting:
                code = self._waiting.popleft()
                if candidates.asked(code):  # it was told meanwhile, though not asked here
                    continue
            else:
                taken = candidates.take(1)
                if not len(taken):
                    break
                code = taken[0]
            self._history.ask(code)
            asked.append(code)
        return np.stack(asked) if asked else candidates.empty()

    def tell(self, codes: Codes, objectives: Floats) -> None:
        """Learn from (n, m) objectives; NaN where an evaluation failed."""
        self._history.tell(codes, objectives)
