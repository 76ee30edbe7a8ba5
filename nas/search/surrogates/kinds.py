"""The kinds of surrogate there are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nas.search.surrogates.features import Groups
from nas.search.surrogates.gaussian_process import GaussianProcess
from nas.search.surrogates.protocol import Surrogate
from nas.search.surrogates.ridge import RidgeEnsemble


def processes_of(groups: Groups) -> dict[str, Callable[[], Surrogate]]:
    """How to make each Gaussian process, by name, the one that knows most from little first.

    Args:
        groups: Of the features that it will see.
    """
    return {
        "gaussian-process": lambda: GaussianProcess(groups),
        "gaussian-process-fine": lambda: GaussianProcess(np.arange(len(groups))),
    }


def kinds_of(groups: Groups, rng: np.random.Generator) -> dict[str, Callable[[], Surrogate]]:
    """How to make each kind, by name, the one that knows most from little first.

    Args:
        groups: Of the features that it will see.
        rng: What a kind draws with.
    """
    return {**processes_of(groups), "ridge": lambda: RidgeEnsemble(rng)}
