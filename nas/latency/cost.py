"""Counted costs: multiply-accumulates, parameters and activation memory; never called latency.

Each distinct part is traced once; an architecture's costs are a gather and a sum over its parts
(memory: the greatest of them, as parts run one after the other).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from nas.latency.tracing.trace import Kernel, peak_activation_bytes, trace
from search_spaces.architecture import Architecture
from search_spaces.parts import Part, parts_of
from search_spaces.space import SearchSpace

Floats = NDArray[np.float64]
MIB = 2**20


@dataclass(frozen=True)
class Cost:
    """What one image costs.

    `macs` are torch's: matrix products, convolutions and attention. Norms, activations and
    Fourier transforms count none. `memory_mib` is the peak of float32 activations.
    """

    macs: int
    params: int
    memory_mib: float


@lru_cache(maxsize=65536)
def part_cost(part: Part) -> Cost:
    """Costs of one part for one image."""
    params, kernels = part_kernels(part)
    return Cost(_macs(kernels), params, peak_activation_bytes(kernels) / MIB)


def part_kernels(part: Part, batch_size: int = 1) -> tuple[int, list[Kernel]]:
    """A part's number of parameters and its trace."""
    module = part_module(part)
    params = sum(parameter.numel() for parameter in module.parameters())
    return params, trace(module, part.input_shape(batch_size))


def cost_of(architecture: Architecture, in_channels: int = 3, num_classes: int = 10) -> Cost:
    """Costs of one network for one image."""
    costs = [part_cost(part) for part in parts_of(architecture, in_channels, num_classes).values()]
    return Cost(
        macs=sum(cost.macs for cost in costs),
        params=sum(cost.params for cost in costs),
        memory_mib=max(cost.memory_mib for cost in costs),
    )


class CostTable:
    """Costs of whole populations of a space, from a table of its parts."""

    def __init__(self, space: SearchSpace, in_channels: int = 3, num_classes: int = 10) -> None:
        self.space = space
        self.index = space.part_index(in_channels, num_classes)
        costs = [Cost(0, 0, 0.0) if p is None else part_cost(p) for p in self.index.parts]
        self._macs = np.array([cost.macs for cost in costs], dtype=np.float64)
        self._params = np.array([cost.params for cost in costs], dtype=np.float64)
        self._memory = np.array([cost.memory_mib for cost in costs], dtype=np.float64)

    def macs(self, codes: NDArray[np.integer]) -> Floats:
        """Multiply-accumulates for one image, (n,)."""
        return self.index.sums(codes, self._macs)

    def params(self, codes: NDArray[np.integer]) -> Floats:
        """Parameters, (n,)."""
        return self.index.sums(codes, self._params)

    def memory_mib(self, codes: NDArray[np.integer], batch_size: int = 1) -> Floats:
        """Greatest sum of activations alive at once for a batch, in MiB, (n,)."""
        return self.index.maxima(codes, self._memory) * batch_size


def part_module(part: Part) -> nn.Module:
    """A part's module on meta tensors, shared by parts that differ in the size of their map."""
    return _module(part.module_key())


@contextlib.contextmanager
def without_memory() -> Iterator[None]:
    """Modules that are built meanwhile are on meta tensors, and quickly so."""
    with torch.device("meta"), _Uninitialised():  # type: ignore[no-untyped-call]
        yield


@lru_cache(maxsize=1024)
def _module(key: Part) -> nn.Module:
    with without_memory():
        return key.build()


def _macs(kernels: list[Kernel]) -> int:
    counted = ("product", "convolution", "depthwise", "attention")
    return sum(kernel.flops for kernel in kernels if kernel.kind in counted) // 2


class _Uninitialised(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Without memory there is nothing to initialise, which torch would take its time for."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        return args[0] if func._schema.is_mutable else func(*args, **(kwargs or {}))

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # as in `tracing.py`
