"""The kinds of surrogate there are, made for a space."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from nas.search.protocol import CodeSpace
from nas.search.surrogates.gaussian_process import GaussianProcess
from nas.search.surrogates.protocol import Surrogate
from nas.search.surrogates.ridge import RidgeEnsemble


@runtime_checkable
class Grouped(Protocol):
    """A space that says which of its features are of one gene, or of one thing."""

    @property
    def feature_groups(self) -> NDArray[np.integer[Any]]:
        """A group for each feature, numbered from 0: (features,)."""
        ...


def feature_groups(space: CodeSpace) -> NDArray[np.integer[Any]]:
    """The space's own groups, or one for each feature: (features,)."""
    if isinstance(space, Grouped):
        return space.feature_groups
    width = space.features(space.sample(1, np.random.default_rng(0))).shape[1]
    return np.arange(width)


def kinds_of(space: CodeSpace, rng: np.random.Generator) -> dict[str, Callable[[], Surrogate]]:
    """How to make each kind for a space, by name, the one that knows most from little first."""
    groups = feature_groups(space)
    return {
        "gaussian-process": lambda: GaussianProcess(groups),
        "gaussian-process-fine": lambda: GaussianProcess(np.arange(len(groups))),
        "ridge": lambda: RidgeEnsemble(rng),
    }
