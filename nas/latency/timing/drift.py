"""Telling a machine that slows down for a while from a network that is slow.

    log t(visit) = m(network) + d(time) + noise

Networks take turns, so what falls on all neighbours in time alike is the machine (a neighbour on
the same host, a hotter chip): d is the running median of what the networks' own medians leave
over. It is taken out, so times are those of the machine where nothing slows it; where nothing
does, a little of the noise passes for drift. Seen on a shared virtual machine: the speed halved
for seconds at a time, as often as not. What networks take at the machine's usual speed then
depends on which half of the time was longer.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

Floats = NDArray[np.float64]

WINDOW = 21
"""Visits that the running median looks at."""
UNDISTURBED = 0.1
"""Share of the visits that are taken to be of the machine at its own speed."""
SWEEPS = 3
"""How often the networks' medians and the drift are estimated in turn."""


def drift_of(ms: Floats, network: NDArray[np.int64]) -> Floats:
    """The logarithm of the machine's slowness at each visit, (visits,); 0 is undisturbed.

    Args:
        ms: What each visit took, in order of time.
        network: Which network was visited.
    """
    logs = np.log(ms)
    drift = np.zeros(len(ms))
    for _ in range(SWEEPS if len(ms) else 0):
        level = np.zeros(int(network.max()) + 1)
        for i in np.unique(network):
            level[i] = np.median((logs - drift)[network == i])
        drift = median_filter(logs - level[network], size=WINDOW, mode="nearest")
        drift -= np.quantile(drift, UNDISTURBED)
    return np.asarray(drift, dtype=np.float64)
