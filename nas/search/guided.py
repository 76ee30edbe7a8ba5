"""A search that learns from the supernet first, and then from what it is told.

    guide.learn   codes to begin with, and a table of what each choice probably does to the error
    model         `ModelBased`, which sees the table's total beside the features of a code, and
                  whose samples are the guide's: so the table counts as far as the errors follow it

Paper: zero-cost proxies as features of a predictor, White et al. 2021,
https://arxiv.org/abs/2104.01177 (OMNI: a cheap prediction as one more feature)
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nas.errors import SettingsError
from nas.search.brief import Brief
from nas.search.gene_tables import Rows, total
from nas.search.history import History
from nas.search.model_based import Effort, ModelBased
from nas.search.protocol import Bools, Codes, Floats
from nas.search.surrogates import GaussianProcess
from nas.search.surrogates.kinds import feature_groups

if TYPE_CHECKING:
    from nas.search.lessons import Lessons
    from search_spaces.space import SearchSpace

_EFFORT = Effort(start=0, children=384, strangers=384, renew=2)
_LEAST_TOLD = 6
_DRAWN = 64


class Guide(Protocol):
    """What knows something of a space before the first evaluation."""

    @property
    def space(self) -> SearchSpace:
        """The space that it knows something of."""
        ...

    @property
    def table(self) -> Rows:
        """What is expected of each choice: larger is worse."""
        ...

    def learn(self) -> Codes:
        """Called once, before all else: codes to begin with, (n, genes)."""
        ...

    def draw(self, n: int) -> Codes:
        """Codes that are probably good, repeats allowed: (n, genes)."""
        ...


class Guided:
    """See the module.

    Args:
        brief: The search.
        history: What was asked and told.
        guide: What knows something beforehand.
    """

    def __init__(self, brief: Brief, history: History, guide: Guide) -> None:
        self._history, self._guide = history, guide
        space = GuidedSpace(guide)
        self._model = ModelBased(
            replace(brief, space=space),
            history,
            lambda: GaussianProcess(space.feature_groups),
            _EFFORT,
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


class GuidedSpace:
    """A space as its guide sees it: a `CodeSpace`."""

    def __init__(self, guide: Guide) -> None:
        self._guide, self._space = guide, guide.space

    @property
    def num_genes(self) -> int:
        """Length of one code."""
        return self._space.num_genes

    @property
    def feature_groups(self) -> NDArray[np.integer[Any]]:
        """Those of the space, and one for the table's total."""
        groups = feature_groups(self._space)
        return np.append(groups, groups.max() + 1)

    def sample(self, n: int, rng: np.random.Generator) -> Codes:
        """As the guide draws: (n, genes)."""
        return self._guide.draw(n)

    def mutate(self, codes: Codes, rng: np.random.Generator) -> Codes:
        """As the space does: (n, genes)."""
        return self._space.mutate(codes, rng)

    def crossover(self, first: Codes, second: Codes, rng: np.random.Generator) -> Codes:
        """As the space does: (n, genes)."""
        return self._space.crossover(first, second, rng)

    def features(self, codes: Codes) -> Floats:
        """Those of the space, and the table's total: (n, features + 1)."""
        expected = total(self._space, self._guide.table, codes)
        return np.concatenate([self._space.features(codes), expected[:, None]], axis=1)

    def contains(self, codes: Codes) -> Bools:
        """As the space does: (n,)."""
        return self._space.contains(codes)

    def size(self) -> int:
        """As the space does."""
        return self._space.size()


def lessons_of(brief: Brief, searcher: str) -> Lessons:
    """The lessons of a search.

    Raises:
        SettingsError: there are none.
    """
    if brief.lessons is None:
        raise SettingsError(
            f"Searcher '{searcher}' needs a supernet: it learns from gradients of shared weights, "
            "which a table of results does not have. Use it with `nas search`, or choose one that "
            "needs evaluations only (`nas searchers`)."
        )
    from nas.search.lessons import Lessons

    assert isinstance(brief.lessons, Lessons), type(brief.lessons)
    return brief.lessons
