"""Random search: feasible architectures as the space samples them, none twice.

The baseline that every searcher has to beat. Paper: Li and Talwalkar 2019,
https://arxiv.org/abs/1902.07638
"""

from __future__ import annotations

import numpy as np

from nas.search.candidates import Candidates
from nas.search.protocol import Cheap, Codes, CodeSpace, Constraints, Floats
from nas.search.searchers.registry import SearcherEntry, register


class RandomSearcher:
    """Samples without replacement; what it is told changes nothing."""

    def __init__(self, space: CodeSpace, seed: int, constraints: Constraints | None) -> None:
        self._candidates = Candidates(space, np.random.default_rng(seed), constraints)

    def ask(self, n: int) -> Codes:
        """At most `n` codes that were not asked before: (<= n, genes)."""
        return self._candidates.take(n)

    def tell(self, codes: Codes, objectives: Floats) -> None:
        """Take note of nothing."""


def _build(
    space: CodeSpace,
    *,
    seed: int,
    constraints: Constraints | None,
    cheap: Cheap | None,
    supernet: object | None,
) -> RandomSearcher:
    return RandomSearcher(space, seed, constraints)


register(
    SearcherEntry(
        name="random",
        description="Feasible architectures as the space samples them, none twice.",
        paper="https://arxiv.org/abs/1902.07638",
        needs="evaluations",
        build=_build,
    )
)
