"""The kinds of surrogates that `adaptive` chooses from."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nas.search.surrogates.features import Groups
from nas.search.surrogates.gaussian_process import GaussianProcess
from nas.search.surrogates.protocol import Surrogate
from nas.search.surrogates.ridge import RidgeEnsemble


def processes_of(groups: Groups) -> dict[str, Callable[[], Surrogate]]:
    """Constructors of the Gaussian processes by name, the one that needs the fewest rows first.

    Args:
        groups: The groups of the features.
    """
    return {
        "gaussian-process": lambda: GaussianProcess(groups),
        "gaussian-process-fine": lambda: GaussianProcess(np.arange(len(groups))),
    }


def kinds_of(groups: Groups, rng: np.random.Generator) -> dict[str, Callable[[], Surrogate]]:
    """Constructors of the kinds by name, the one that needs the fewest rows first.

    Args:
        groups: The groups of the features.
        rng: Source of randomness of the kinds that need one.
    """
    return {**processes_of(groups), "ridge": lambda: RidgeEnsemble(rng)}
