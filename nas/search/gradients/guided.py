"""A search that learns from the supernet first, and then from evaluations.

    guide.learn   codes to begin with, and a table of what each choice probably adds to the error
    model         `ModelBased` with two additions: the table's total is one more feature of a code,
                  and samples are drawn by the guide

The surrogate learns from the evaluations how much weight the table deserves.

Paper: zero-cost proxies as features of a predictor, White et al. 2021,
https://arxiv.org/abs/2104.01177 (OMNI: a cheap prediction as one more feature)
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

from nas.errors import SettingsError
from nas.search.asking.history import History
from nas.search.brief import Brief
from nas.search.gradients.gene_tables import total
from nas.search.protocol import Codes, GeneTable, Gradients
from nas.search.surrogates.gaussian_process import GaussianProcess
from nas.search.surrogates.model_based import Effort, ModelBased

if TYPE_CHECKING:
    from search_spaces.space import SearchSpace

_EFFORT = Effort(start=0, children=384, strangers=384, renew=2)
_LEAST_TOLD = 6
_DRAWN = 64


class Guide(Protocol):
    """Knows something of a space before the first evaluation."""

    @property
    def space(self) -> SearchSpace:
        """The space that is searched."""
        ...

    @property
    def table(self) -> GeneTable:
        """What each choice is expected to add to the error: larger is worse."""
        ...

    def learn(self) -> Codes:
        """Called once, first: codes to begin with, (n, genes)."""
        ...

    def draw(self, n: int) -> Codes:
        """Codes that are probably good, repeats allowed: (n, genes)."""
        ...


class Guided:
    """See the module.

    Args:
        brief: The search.
        history: What was asked and told.
        guide: Knows something of the space beforehand.
    """

    def __init__(self, brief: Brief, history: History, guide: Guide) -> None:
        self._history, self._guide = history, guide
        self._model = ModelBased(
            brief,
            history,
            GaussianProcess,
            _EFFORT,
            hint=lambda codes: total(guide.space, guide.table, codes),
            sample=lambda n, rng: guide.draw(n),
        )
        self._plan: deque[Codes] | None = None

    def next(self) -> Codes:
        """The next code to ask, none for a random one: (<= 1, genes)."""
        if self._plan is None:
            self._plan = deque(self._guide.learn())
        candidates = self._history.candidates
        while self._plan:
            fresh = candidates.fresh(self._plan.popleft()[None])
            if len(fresh):
                return fresh
        if self._history.told < _LEAST_TOLD:
            return candidates.fresh(self._guide.draw(_DRAWN))[:1]
        return self._model.next()


def gradients_of(brief: Brief, searcher: str) -> Gradients:
    """The gradients of a search.

    Raises:
        SettingsError: there are none.
    """
    if brief.gradients is None:
        raise SettingsError(
            f"Searcher '{searcher}' needs a supernet: it learns from gradients of shared weights, "
            "which a table of results does not have. Use it with `nas search`, or choose one that "
            "needs evaluations only (`nas searchers`)."
        )
    return brief.gradients
