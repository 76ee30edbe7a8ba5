"""A guess for parts that were not measured, from the kernels they launch.

    ms = sum over kernel kinds k of  a_k launches + b_k FLOPs + c_k bytes,   a, b, c >= 0

Fitted by non-negative least squares on the relative error of the parts that were measured. Used
where a space has too many parts to measure in the time given.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from nas.latency.tracing import KINDS, Kernel

Floats = NDArray[np.float64]


def kernel_features(kernels: Sequence[Kernel]) -> Floats:
    """Launches, GFLOPs and MiB moved of each kind of kernel, (3 * kinds,)."""
    table = np.zeros((len(KINDS), 3), dtype=np.float64)
    for kernel in kernels:
        moved = (kernel.bytes_read + kernel.bytes_written) / 2**20
        table[KINDS.index(kernel.kind)] += (1.0, kernel.flops / 1e9, moved)
    return table.ravel()


def fit_relative(features: Floats, measured: Floats) -> Floats:
    """Non-negative weights w with features @ w near `measured`, by relative error.

    Args:
        features: (n, f).
        measured: Positive, (n,).
    """
    scale = np.abs(features).max(axis=0)
    scale[scale == 0] = 1.0
    weights, _ = nnls(features / scale / measured[:, None], np.ones(len(measured)))
    return np.asarray(weights / scale, dtype=np.float64)
