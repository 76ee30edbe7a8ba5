"""The kinds of surrogates that `adaptive` chooses from."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nas.search.surrogates.features import Groups
from nas.search.surrogates.gaussian_process import GaussianProcess
from nas.search.surrogates.protocol import Surrogate


def kinds_of(groups: Groups) -> dict[str, Callable[[], Surrogate]]:
    """Constructors of the kinds by name, the one that needs the fewest rows first.

    Args:
        groups: The groups of the features.
    """
    return {
        "gaussian-process": lambda: GaussianProcess(groups),
        "gaussian-process-fine": lambda: GaussianProcess(np.arange(len(groups))),
    }
