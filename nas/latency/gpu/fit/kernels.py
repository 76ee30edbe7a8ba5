"""Milliseconds of single operations on the GPU at hand, with operands that are in no cache.

An operation of a network (`tracing/calls.py`) runs `COPIES` times in one CUDA graph, each time on
other memory, after the cache was filled with something else. Only operations that are a single
`Launch` of the GPU model are timed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.latency.gpu.fusion import launches_of
from nas.latency.gpu.launches import Launch
from nas.latency.timing.gpu import DTYPES, Clock
from nas.latency.tracing.calls import Call, calls_of, extents_of
from nas.latency.tracing.operations import Precision
from nas.latency.tracing.trace import trace
from search_spaces.parts import Part

COPIES = 32
"""Runs in one graph, which share the few microseconds that launching it takes."""
PASSES = 7


def calls_in(parts: Sequence[Part], batch_size: int) -> list[Call]:
    """The distinct operations of a space's parts that compute something from tensors."""
    calls: dict[str, Call] = {}
    for part in parts:
        module = part.deployed().module_key().build().eval()
        for call in calls_of(module, part.input_shape(batch_size)):
            if call.launches and call.operands:
                calls.setdefault(call.key, call)
    return list(calls.values())


def launch_of(call: Call, precision: Precision) -> Launch | None:
    """The launch that an operation is; None where it is several."""
    alone = _Alone(call)
    with torch.inference_mode(False):  # inference mode keeps composite operations in one piece
        operations = trace(alone, *alone.input_shapes, precision=precision)
    launches = launches_of(operations, "none")
    return launches[0] if len(launches) == 1 else None


class LaunchClock:
    """Times operations in one precision; use it within the clock's `ready`."""

    def __init__(self, clock: Clock, precision: str, pool_bytes: int) -> None:
        """Take operands from `pool_bytes` of memory; give more than twice the cache's size."""
        self._clock = clock
        dtype = DTYPES.get(precision, torch.float32)
        size = pool_bytes // dtype.itemsize
        self._pool, self._other = (
            torch.zeros(size, dtype=dtype, device=clock.device) for _ in range(2)
        )

    def ms(self, call: Call) -> tuple[float, float]:
        """Median over passes of one run's time, and its interquartile range as a share of it.

        Raises:
            RuntimeError: the GPU cannot run it in this precision, or has not the memory.
        """
        floats = _floating(call)
        needed = sum(floats.values())
        copies = min(COPIES, len(self._pool) // max(1, needed))
        if copies < 1:
            raise torch.OutOfMemoryError("its operands are larger than what they are taken from")
        self._pool.uniform_(0.5, 1.5)  # zeros would draw less power than other numbers
        runs = [call.on(self._memories(call, floats, i * needed)) for i in range(copies)]

        def run() -> None:
            for arguments, named in runs:
                call.function(*arguments, **named)

        replay, found = self._clock.captured(run), []
        for _ in range(PASSES):
            self._other.zero_()
            found.append(self._clock.ms(replay) / copies)
        low, middle, high = np.percentile(found, [25, 50, 75])
        return float(middle), float((high - low) / middle)

    def _memories(self, call: Call, floats: dict[int, int], begin: int) -> dict[int, Tensor]:
        """The memory of each operand; floating-point ones from an element of the pool on."""
        memories = {}
        for operand in call.operands:
            number = operand.memory
            if number in memories:
                continue
            if number in floats:
                memories[number] = self._pool[begin : begin + floats[number]]
                begin += floats[number]
            else:
                extent = extents_of(call.operands)[number]
                memories[number] = torch.zeros(
                    extent, dtype=operand.dtype, device=self._clock.device
                )
        return memories


class _Alone(nn.Module):
    """An operation as a module: weights are its parameters, activations its inputs."""

    def __init__(self, call: Call) -> None:
        super().__init__()
        self.call = call
        extents = extents_of(call.operands)
        self.weights, self.order = nn.ParameterDict(), []
        self.input_shapes: list[tuple[int]] = []
        with torch.device("meta"):
            for operand in {o.memory: o for o in call.operands}.values():
                extent = extents[operand.memory]
                if not operand.dtype.is_floating_point:
                    self.register_buffer(
                        f"index{operand.memory}", torch.empty(extent, dtype=operand.dtype)
                    )
                elif operand.weight:
                    self.weights[str(operand.memory)] = nn.Parameter(torch.empty(extent))
                else:
                    self.order.append(operand.memory)
                    self.input_shapes.append((extent,))

    def forward(self, *inputs: Tensor) -> Any:
        """Run the operation on views of its memories."""
        memories = dict(zip(self.order, inputs, strict=True))
        memories |= {int(name): weight for name, weight in self.weights.items()}
        memories |= {int(name[5:]): buffer for name, buffer in self.named_buffers()}
        arguments, named = self.call.on(memories)
        function: Any = self.call.function
        if function is torch.ops.aten.scaled_dot_product_attention.default:
            function = F.scaled_dot_product_attention  # the form that the tracer knows
        return function(*arguments, **named)


def _floating(call: Call) -> dict[int, int]:
    """Elements of each floating-point memory, in whole cache lines."""
    extents = extents_of(call.operands)
    floating = {o.memory for o in call.operands if o.dtype.is_floating_point}
    return {number: -(-extents[number] // 64) * 64 for number in sorted(floating)}
