"""The terms of the GPU model's time of a network, which measured networks can correct.

    ms = products + depthwise + memory + launches + host                 (all in milliseconds)

    products    matrix products, convolutions and attention           } what the model predicts
    depthwise   depthwise convolutions                                } for these launches
    memory      all other launches                                    }
    launches    gaps between launches, and what every network takes once
    host        waiting for the host to launch

All but `host` are sums over the parts of a network; `host` follows from the sums of device and
host (`total` in `formula.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import nn

from nas.latency.gpu.formula import PRODUCTS, TERMS, total_ms
from nas.latency.gpu.launches import LAUNCH_KINDS, rows_of
from nas.latency.gpu.predictor import GpuModel
from nas.latency.part_work import Piece
from search_spaces.part_index import PartIndex

Floats = NDArray[np.float64]


def sums_of_parts(gpu: GpuModel, index: PartIndex) -> Floats:
    """What each part takes on the GPU and, in the last column, on its host, (parts, 5)."""
    parts = [part for part in index.parts if part is not None]
    return np.concatenate([np.zeros((1, len(TERMS))), sums_of_pieces(gpu, parts)])


def sums_of_pieces(gpu: GpuModel, pieces: Sequence[Piece]) -> Floats:
    """The same for parts or whole networks of a space, (n, 5)."""
    return _sums(gpu, gpu.launches_of_pieces(pieces))


def sums_of(gpu: GpuModel, networks: Sequence[tuple[nn.Module, tuple[int, ...]]]) -> Floats:
    """The same for any modules with the shapes of their inputs, (n, 5)."""
    launched = (gpu.launches(gpu.operations(module, shape)) for module, shape in networks)
    return _sums(gpu, [rows_of(launches) for launches in launched])


def terms_of(gpu: GpuModel, sums: Floats) -> Floats:
    """The terms of whole networks from their sums, both (n, 5)."""
    device, host = sums[:, :-1].sum(axis=1), sums[:, -1]
    terms = sums.copy()
    terms[:, TERMS.index("launches")] += gpu.fixed_ms
    terms[:, -1] = waiting_ms(device, host)
    return terms


def waiting_ms(device: Floats, host: Floats) -> Floats:
    """How much longer a network takes than the GPU computes because its host is slower, (n,)."""
    return np.asarray((total_ms(device, host, 0.0) - device).clip(min=0.0))


def _sums(gpu: GpuModel, launches: Sequence[Floats]) -> Floats:
    owner = np.repeat(np.arange(len(launches)), list(map(len, launches)))
    rows = np.concatenate([np.zeros((0, 9)), *launches])
    kinds = rows[:, 0].astype(np.int64)
    ms, *_ = gpu.times(rows)
    terms = {
        **{term: ms * (_TERM_OF[kinds] == term) for term in ("products", "depthwise", "memory")},
        "launches": np.full(len(ms), gpu.gap_ms),
        "host": np.full(len(ms), gpu.host_ms),
    }
    columns = [np.bincount(owner, terms[term], len(launches)) for term in TERMS]
    return np.stack(columns, axis=1)


_TERM_OF = np.array(
    [
        "depthwise" if "depthwise" in kind else "products" if kind in PRODUCTS else "memory"
        for kind in LAUNCH_KINDS
    ]
)
