"""TPE: Optuna's tree-structured Parzen estimator, made to keep the promises of a searcher.

    Optuna proposes --> fresh? asked
                    --> infeasible, or asked before? told so to Optuna, and it proposes again
                    --> after a few of those: a mutation of its last proposal, else a random code

Optuna draws codes from a density of the good ones and takes the one where it is largest over a
density of the others; close to the optimum it repeats itself, and it knows no constraint before
it has broken it.

Papers: Bergstra et al. 2011, https://papers.nips.cc/paper/4443; with several objectives, Ozaki et
al. 2020, https://doi.org/10.1145/3377930.3389817; as built, Watanabe 2023,
https://arxiv.org/abs/2304.11127
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nas.search.brief import Brief
from nas.search.history import History, SequentialSearcher, code_key
from nas.search.protocol import Codes, Floats
from nas.search.searchers.registry import SearcherEntry, register
from nas.search.variation import fresh_mutant

if TYPE_CHECKING:
    from nas.adapters.foreign import Proposal

_TRIES = 4
"""How often Optuna is asked again for one evaluation."""


class Tpe:
    """See the module.

    Args:
        brief: The search; its space says how many choices its genes have.
        history: What was asked and told.
    """

    def __init__(self, brief: Brief, history: History) -> None:
        from nas.adapters.foreign import cardinalities_of
        from nas.adapters.optuna import OptunaTool

        self._space, self._constraints, self._cheap = brief.space, brief.constraints, brief.cheap
        self._history = history
        self._tool = OptunaTool(cardinalities_of(brief.space), "tpe", seed=brief.seed, joint=True)
        self._open: dict[bytes, Proposal] = {}
        self._sequence = SequentialSearcher(history, self._next)

    def ask(self, n: int) -> Codes:
        """At most `n` codes that were not asked before: (<= n, genes)."""
        return self._sequence.ask(n)

    def tell(self, codes: Codes, objectives: Floats) -> None:
        """Learn from (n, m) objectives; NaN where an evaluation failed."""
        self._sequence.tell(codes, objectives)
        for code, row in zip(codes, np.asarray(objectives, dtype=float), strict=True):
            proposal = self._open.pop(code_key(code), None)
            if proposal is not None:
                self._report(proposal, code, row if np.isfinite(row).all() else None)

    def _next(self) -> Codes:
        """The next code to ask, none when all were: (<= 1, genes)."""
        from nas.adapters.foreign import canonical

        candidates = self._history.candidates
        for attempt in range(_TRIES):
            proposal = self._tool.propose()
            code = canonical(self._space, proposal.genes[None])
            fresh = candidates.fresh(code)
            if len(fresh) or attempt == _TRIES - 1:
                break
            self._report(proposal, code[0], self._without_evaluation(code))
        if not len(fresh):
            fresh = fresh_mutant(self._space, candidates, code[0], self._history.rng)
        if not len(fresh):
            fresh = candidates.take(1)
        if len(fresh):
            self._open[code_key(fresh[0])] = proposal
        return fresh

    def _without_evaluation(self, code: Codes) -> Floats | None:
        """What Optuna hears of a code (1, genes): NaN and the cheap ones; None of a repeat."""
        outside = not self._space.contains(code)[0]
        if outside or self._cheap is None or self._history.candidates.feasible(code)[0]:
            return None
        return np.append(np.nan, np.asarray(self._cheap(code), dtype=float)[0])

    def _report(self, proposal: Proposal, code: Codes, objectives: Floats | None) -> None:
        limits = np.empty(0)
        if self._constraints is not None and self._space.contains(code[None])[0]:
            limits = np.asarray(self._constraints(code[None]), dtype=float).reshape(-1)
        self._tool.report(proposal, code, objectives, np.nan_to_num(limits, nan=np.inf))


def _build(brief: Brief) -> Tpe:
    return Tpe(brief, History(brief))


register(
    SearcherEntry(
        name="tpe",
        description="Optuna's tree-structured Parzen estimator, without its repeats.",
        paper="https://arxiv.org/abs/2304.11127",
        needs="evaluations",
        build=_build,
    )
)
