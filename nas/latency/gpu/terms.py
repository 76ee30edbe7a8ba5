"""What the GPU model's time of a network is the sum of, so that measured networks can correct it.

    ms = products + depthwise + memory + launches + host                 (all in milliseconds)

    products    matrix products, convolutions and attention           } each kernel
    depthwise   depthwise convolutions                                } as the model
    memory      all other kernels                                     } predicts it
    launches    between kernels, and what every network pays once
    host        what the GPU waits for the host to launch

All but `host` add up over the parts of a network; `host` follows from the sums of what the GPU
and the host take (`gpu/times.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import nn

from nas.latency.cost import part_module
from nas.latency.gpu.formula import PRODUCTS, TERMS, whole_ms
from nas.latency.gpu.launches import Launch, Launches
from nas.latency.gpu.predictor import GpuModel
from search_spaces.part_index import PartIndex

Floats = NDArray[np.float64]


def sums_of_parts(gpu: GpuModel, index: PartIndex) -> Floats:
    """What the GPU and, in the last column, its host take for each part, (parts, 5)."""
    parts = [part for part in index.parts if part is not None]
    modules = [(part_module(part), part.input_shape(gpu.target.images)) for part in parts]
    return np.concatenate([np.zeros((1, len(TERMS))), sums_of(gpu, modules)])


def sums_of(gpu: GpuModel, networks: Sequence[tuple[nn.Module, tuple[int, ...]]]) -> Floats:
    """The same for networks with their input shapes, (n, 5)."""
    launched = [gpu.launches(gpu.kernels(module, shape)) for module, shape in networks]
    distinct = Launches.of([launch for one in launched for launch in one])
    rows = zip(distinct.kinds, distinct.sizes.tolist(), strict=True)
    ms, *_ = gpu.times(distinct)
    row_of = {
        Launch(kind, *sizes): _row(kind, float(t), gpu)
        for (kind, sizes), t in zip(rows, ms, strict=True)
    }
    return np.array(
        [np.sum([row_of[launch] for launch in one] or [np.zeros(5)], axis=0) for one in launched]
    )


def terms_of(gpu: GpuModel, sums: Floats) -> Floats:
    """The terms of whole networks from their sums, both (n, 5)."""
    device, host = sums[:, :-1].sum(axis=1), sums[:, -1]
    terms = sums.copy()
    terms[:, TERMS.index("launches")] += gpu.fixed_ms
    terms[:, -1] = waiting_ms(device, host)
    return terms


def waiting_ms(device: Floats, host: Floats) -> Floats:
    """What a network takes longer than the GPU computes, for its host is slower, (n,)."""
    return np.asarray((whole_ms(device, host, 0.0) - device).clip(min=0.0))


def _row(kind: str, ms: float, gpu: GpuModel) -> Floats:
    term = "depthwise" if "depthwise" in kind else "products" if kind in PRODUCTS else "memory"
    row = np.zeros(len(TERMS))
    row[TERMS.index(term)] = ms
    row[TERMS.index("launches")] = gpu.gap_ms
    row[-1] = gpu.host_ms
    return row
