"""Timing the operations of one network, each among the others, as it finds its operands there.

    activations   written just before, by the same threads
    weights       taken in turn from as much memory as the network has weights (512 MiB at most)

An operation that is repeated at once is faster than in its network, because more than its weights
is still in a cache; among the operations of other networks it is slower. So all operations of a
network are timed together, in its order, however few of their times are wanted.

Every few rounds a fixed set of reference operations runs. Their times say how much slower the
machine is than at another time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from nas.latency.timing.machine import preemptions, quiet
from nas.latency.tracing.calls import Call, calls_of, extents_of
from nas.progress import Progress

MOST_MIB = 512
"""No cache holds more weights than this."""
SPAN = 6
"""Rounds between two measurements of the machine's speed; the first of them warms up."""
REFERENCE_ROUNDS = 4
"""Rounds of a measurement of the machine's speed; the first of them warms up."""
Visit = tuple[float, bool]
"""Milliseconds, and whether the system interrupted this process meanwhile."""


@dataclass(frozen=True)
class Pace:
    """How long operations are timed: `least` rounds (two or more), then until `seconds`."""

    seconds: float = 8.0
    least: int = 6
    most: int = 30


@dataclass(frozen=True)
class Span:
    """A few rounds at about the same speed of the machine."""

    reference: list[float]
    """Milliseconds of each reference operation just before."""
    visits: list[list[Visit]]
    """Of each call."""

    def slowness(self, reference_ms: Sequence[float]) -> float:
        """How many times slower the machine is than when the reference took `reference_ms`."""
        return float(np.median(np.array(self.reference) / reference_ms))


Timer = Callable[[Sequence[Call], int, int, Pace, Progress], list[Span]]
"""What `time_calls` is; tests pass another one."""


def time_calls(
    calls: Sequence[Call], weights: int, threads: int, pace: Pace, progress: Progress
) -> list[Span]:
    """Time the calls of one network."""
    reference = _reference_calls()
    reference_pool = WeightPool.for_calls(reference, 0)
    pool = WeightPool.for_calls(calls, weights)
    spans: list[Span] = []
    begin = time.perf_counter()
    with quiet(threads), progress.task("Timing operations", pace.most) as advance:
        for round_ in range(pace.most):
            if round_ >= pace.least and time.perf_counter() - begin > pace.seconds:
                break
            if round_ % SPAN == 0:
                rounds = [_round(reference, reference_pool) for _ in range(REFERENCE_ROUNDS)]
                before = [typical_ms(visits) for visits in zip(*rounds[1:], strict=True)]
                spans.append(Span(before, [[] for _ in calls]))
            found = _round(calls, pool)
            if round_ % SPAN:
                for visits, visit in zip(spans[-1].visits, found, strict=True):
                    visits.append(visit)
            advance(round_ + 1, f"{len(calls)} operations")
        advance(pace.most, "done")
    return spans


def typical_ms(visits: Sequence[Visit]) -> float:
    """Median of the visits without interruptions, or of the fastest quarter if these are fewer."""
    calm = [ms for ms, interrupted in visits if not interrupted]
    enough = max(1, len(visits) // 4)
    if len(calm) < enough:
        calm = sorted(ms for ms, _ in visits)[:enough]
    return float(np.median(calm))


def weights_of(call: Call) -> int:
    """How many numbers of memory the weights of a call take."""
    return sum(extents_of([operand for operand in call.operands if operand.weight]).values())


class WeightPool:
    """Numbers between 0.5 and 1.5, handed out in turn."""

    def __init__(self, elements: int) -> None:
        generator = torch.Generator().manual_seed(0)
        self._pool = torch.rand(elements, generator=generator).add_(0.5)
        self._next = 0

    @classmethod
    def for_calls(cls, calls: Sequence[Call], weights: int) -> WeightPool:
        """A pool of so many weights, up to `MOST_MIB`, but enough for each call."""
        return cls(max([min(weights, MOST_MIB * 2**18), *map(weights_of, calls)]))

    def __len__(self) -> int:
        return len(self._pool)

    def take(self, elements: int) -> Tensor:
        """The next so many numbers."""
        if self._next + elements > len(self._pool):
            self._next = 0
        begin = self._next
        self._next += -(-elements // 16) * 16  # whole cache lines
        return self._pool[begin : begin + elements]


def _round(calls: Sequence[Call], pool: WeightPool) -> list[Visit]:
    return [_visit(call, pool) for call in calls]


def _visit(call: Call, pool: WeightPool) -> Visit:
    memories, activations = _memories(call, pool)
    arguments, named = call.on(memories)
    for tensor in activations:
        tensor.fill_(0)
    before = preemptions()
    begin = time.perf_counter_ns()
    call.function(*arguments, **named)
    ms = (time.perf_counter_ns() - begin) / 1e6
    return ms, preemptions() != before


def _memories(call: Call, pool: WeightPool) -> tuple[dict[int, Tensor], list[Tensor]]:
    """The memory of a call's operands by its number, and which of it is not weights."""
    extents = extents_of(call.operands)
    memories: dict[int, Tensor] = {}
    activations = []
    for operand in call.operands:
        if operand.memory in memories:
            continue
        elements = extents[operand.memory]
        if operand.weight and operand.dtype is torch.float32:
            memories[operand.memory] = pool.take(elements)
        else:
            memories[operand.memory] = torch.zeros(elements, dtype=operand.dtype)
            activations.append(memories[operand.memory])
    return memories, activations


def _reference_calls() -> list[Call]:
    """Operations of every kind that networks spend their time in, 3 ms in all."""
    network = nn.Sequential(
        nn.Conv2d(64, 64, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(64, 64, 7, padding=3, groups=64),
        nn.BatchNorm2d(64),
        nn.Conv2d(64, 256, 1),
        nn.GELU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(256, 4096),
    )
    calls = {call.key: call for call in calls_of(network, (1, 64, 28, 28)) if call.launches}
    return list(calls.values())
