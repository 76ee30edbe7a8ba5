"""What is not measured is guessed from the kernels that it launches.

    ms = sum over kernel kinds k of  a_k launches + b_k FLOPs + c_k bytes,   a, b, c >= 0

Fitted by non-negative least squares on relative errors. Used for parts that a space has too many
of to measure in the time given, and where only whole networks can be measured
(`whole_networks.py`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from nas.latency.tracing.operations import KINDS, Operation

Floats = NDArray[np.float64]

ROWS = (*KINDS, "uneven fft")
"""Kinds of kernel that cost differently. Fourier transforms over a number of points that is no
power of two are their own: in onnxruntime 1.31 a spectral gate of 64 channels took 0.55 ms on a
3 x 3 map and 0.17 ms on 4 x 4, and without this the mean error of `whole_networks.py` was 11 %,
not 4 %."""
RIDGE = 0.1
"""Pull towards zero of what each kind of kernel takes on average, as a share of a network."""


def kernel_features(kernels: Sequence[Operation]) -> Floats:
    """Launches, GFLOPs and MiB moved of each row, (3 * rows,)."""
    table = np.zeros((len(ROWS), 3), dtype=np.float64)
    for kernel in kernels:
        moved = (kernel.bytes_read + kernel.bytes_written) / 2**20
        row = "uneven fft" if _is_uneven(kernel) else kernel.kind
        row = "copy" if row == "unknown" else row
        table[ROWS.index(row)] += (1.0, kernel.flops / 1e9, moved)
    return table.ravel()


def fit_relative(features: Floats, measured: Floats) -> Floats:
    """Non-negative weights w with features @ w near `measured`, by relative error.

    Args:
        features: (n, f).
        measured: Positive, (n,).
    """
    return _nnls(features, measured, np.abs(features).max(axis=0), 0.0)


def fit_few(features: Floats, measured: Floats) -> Floats:
    """The same where there may be fewer networks than weights: each is pulled towards zero."""
    return _nnls(features, measured, np.abs(features).mean(axis=0), RIDGE)


def _nnls(features: Floats, measured: Floats, scale: Floats, ridge: float) -> Floats:
    scale = np.where(scale == 0, 1.0, scale) / np.median(measured)
    rows, wanted = features / scale / measured[:, None], np.ones(len(measured))
    if ridge:
        rows = np.concatenate([rows, ridge * np.eye(len(scale))])
        wanted = np.concatenate([wanted, np.zeros(len(scale))])
    weights, _ = nnls(rows, wanted)
    return np.asarray(weights / scale, dtype=np.float64)


def _is_uneven(kernel: Operation) -> bool:
    """Whether the points of a Fourier transform are no power of two, by its 5 n log2 n FLOPs."""
    if kernel.kind != "fft":
        return False
    numel = max(math.prod(shape) for shape in (*kernel.input_shapes, *kernel.output_shapes))
    doublings = kernel.flops * (1 if "c2c" in kernel.op else 2) / (5 * numel)
    return abs(doublings - round(doublings)) > 1e-3
