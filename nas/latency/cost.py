"""Counted costs: multiply-accumulates, parameters and activation memory; never called latency.

An architecture's costs are a gather and a sum over its parts (memory: the greatest of them, as
parts run one after the other). What a part costs is in `part_work.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.latency import part_work
from search_spaces.architecture import Architecture
from search_spaces.data_shape import DataShape
from search_spaces.parts import parts_of
from search_spaces.space import SearchSpace

Floats = NDArray[np.float64]
MIB = 2**20


@dataclass(frozen=True)
class Cost:
    """What one image costs.

    `macs` are those of torch: matrix products, convolutions and attention. Norms, activations and
    Fourier transforms count as none. `memory_mib` is the peak of float32 activations.
    """

    macs: int
    params: int
    memory_mib: float


def cost_of(architecture: Architecture, data_shape: DataShape = DataShape()) -> Cost:
    """Costs of one network for one image."""
    parts = parts_of(architecture, data_shape).values()
    macs, params, memory = part_work.costs(list(parts)).T
    return Cost(int(macs.sum()), int(params.sum()), float(memory.max()) / MIB)


class CostTable:
    """Costs of whole populations of a space, from a table of its parts."""

    def __init__(self, space: SearchSpace, data_shape: DataShape = DataShape()) -> None:
        self.space = space
        self.index = space.part_index(data_shape)
        parts = [part for part in self.index.parts if part is not None]
        costs = np.concatenate([np.zeros((1, 3)), part_work.costs(parts)])
        self._macs, self._params, self._memory = costs.T / [[1], [1], [MIB]]

    def macs(self, codes: NDArray[np.integer]) -> Floats:
        """Multiply-accumulates for one image, (n,)."""
        return self.index.sums(codes, self._macs)

    def params(self, codes: NDArray[np.integer]) -> Floats:
        """Parameters, (n,)."""
        return self.index.sums(codes, self._params)

    def memory_mib(self, codes: NDArray[np.integer], batch_size: int = 1) -> Floats:
        """Greatest sum of activations alive at once for a batch, in MiB, (n,)."""
        return self.index.maxima(codes, self._memory) * batch_size
