"""Milliseconds of single operations on the processor at hand, measured once and kept.

All operations of a network run a few times, in turns and in its order, on operands as they find
them there; what is not in the store yet is kept:

    activations   written just before, by the same threads
    weights       from as much memory in turn as the network has weights (512 MiB at most)

An operation that runs at once again is faster than in its network, for more than its weights is
still in a cache; among those of other networks it is slower. So each network is a session of its
own, and whole, however few of its operations are new.

Every few rounds of a session some operations run that are the same in all sessions: what the
machine is slower by than when the store began does not stay in it.
"""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from nas.environment import version
from nas.errors import CheckpointError
from nas.latency.devices import fingerprint
from nas.latency.profiles.profile import checksum
from nas.latency.target import Target
from nas.latency.timing.measure import preemptions, quiet
from nas.latency.tracing.calls import Call, Operand, calls_of
from nas.progress import Progress
from nas.storage import atomic_write, cache_dir

SCHEMA = 2


@dataclass(frozen=True)
class Pace:
    """How long operations are timed: `least` rounds (two at the least), then until `seconds`."""

    seconds: float = 8.0
    least: int = 6
    most: int = 30


MOST_MIB = 512
"""Weights beyond that are in no cache, however many there are."""
SPAN = 6
"""Rounds after which the machine's speed is looked at again; the first of them warms up."""
REFERENCE_ROUNDS = 4
"""Each time; the first of them warms up."""


@dataclass
class KernelTimes:
    """Milliseconds by `Call.key`, and the file that keeps them."""

    path: Path
    conditions: dict[str, Any]
    ms: dict[str, float] = field(default_factory=dict)
    reference_ms: list[float] = field(default_factory=list)
    """What `_reference()` took when the store began; milliseconds are at that speed."""
    fitted: dict[str, Any] = field(default_factory=dict)
    """What follows from whole networks, as plain data; see `cpu_kernels.py`."""

    @classmethod
    def of(cls, target: Target) -> KernelTimes:
        """The store of this machine and target, empty where nothing was measured.

        Raises:
            CheckpointError: its file is damaged or was changed.
        """
        conditions = {
            "threads": target.thread_count,
            "batch_size": target.images,
            "device": fingerprint(),
            "torch": version("torch"),
        }
        name = checksum({"schema": SCHEMA, **conditions})[:16]
        store = cls(cache_dir() / "latency" / f"kernels-{name}.json", conditions)
        if store.path.exists():
            store._load()
        return store

    def measure(self, calls: Sequence[Call], progress: Progress, pace: Pace | None = None) -> int:
        """Time a network's calls if any is not known yet, and keep those; how many they were."""
        timed = {call.key: call for call in calls if call.launches}
        missing = [key for key in timed if key not in self.ms]
        if not missing:
            return 0
        weights = sum(_weights_of(call) for call in calls if call.launches)
        threads = self.conditions["threads"]
        spans = _timed([*timed.values()], weights, threads, pace or Pace(), progress)
        if not self.reference_ms:
            self.reference_ms = np.median([span.reference for span in spans], axis=0).tolist()
        for i, key in enumerate(timed):
            self.ms[key] = self.ms.get(key) or _typical(
                [
                    (ms / span.slowness(self.reference_ms), disturbed)
                    for span in spans
                    for ms, disturbed in span.visits[i]
                ]
            )
        self.save()
        return len(missing)

    def forget(self) -> None:
        """Drop all times: they were taken while the machine was busy."""
        self.ms, self.reference_ms = {}, []
        self.save()

    def save(self) -> None:
        """Write the store, whole or not at all."""
        content = {
            "conditions": {**self.conditions, "date": _now()},
            "ms": self.ms,
            "reference_ms": self.reference_ms,
            "fitted": self.fitted,
        }
        document = {"schema": SCHEMA, "checksum": checksum(content), "content": content}
        atomic_write(self.path, json.dumps(document, indent=0) + "\n")

    def _load(self) -> None:
        again = f"Delete '{self.path}', and the next prediction measures again."
        try:
            document = json.loads(self.path.read_text())
            content, stated = document["content"], document["checksum"]
            ms = {key: float(value) for key, value in content["ms"].items()}
            reference_ms = [float(value) for value in content["reference_ms"]]
            fitted, _conditions = content["fitted"], dict(content["conditions"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(
                f"The times of operations in '{self.path}' cannot be read ({error!r}). {again}"
            ) from None
        if checksum(content) != stated:
            raise CheckpointError(
                f"The times of operations in '{self.path}' were changed after they were "
                f"measured: the checksum does not match. {again}"
            )
        if {**content["conditions"], **self.conditions} != content["conditions"]:
            raise CheckpointError(
                f"The times of operations in '{self.path}' were measured under other conditions "
                f"than {self.conditions}. {again}"
            )
        self.ms, self.reference_ms, self.fitted = ms, reference_ms, fitted


Visit = tuple[float, bool]
"""Milliseconds, and whether the system took a processor away meanwhile."""


@dataclass(frozen=True)
class Span:
    """A few rounds."""

    reference: list[float]
    """Milliseconds of each operation of the reference just before."""
    visits: list[list[Visit]]
    """Of each call."""

    def slowness(self, reference_ms: Sequence[float]) -> float:
        """How many times slower the machine was than when the reference took so long."""
        return float(np.median(np.array(self.reference) / reference_ms))


def _timed(
    calls: Sequence[Call], weights: int, threads: int, pace: Pace, progress: Progress
) -> list[Span]:
    """Time calls of a network that has so many weights."""
    reference = _reference()
    known, pool = _pool_of(reference, 0), _pool_of(calls, weights)
    spans: list[Span] = []
    begin = time.perf_counter()
    with quiet(threads), progress.task("Timing operations", pace.most) as advance:
        for round_ in range(pace.most):
            if round_ >= pace.least and time.perf_counter() - begin > pace.seconds:
                break
            if round_ % SPAN == 0:
                rounds = [_round(reference, known) for _ in range(REFERENCE_ROUNDS)]
                before = [_typical(visits) for visits in zip(*rounds[1:], strict=True)]
                spans.append(Span(before, [[] for _ in calls]))
            found = _round(calls, pool)
            if round_ % SPAN:
                for visits, visit in zip(spans[-1].visits, found, strict=True):
                    visits.append(visit)
            advance(round_ + 1, f"{len(calls)} operations")
        advance(pace.most, "done")
    return spans


def _round(calls: Sequence[Call], pool: _Weights) -> list[Visit]:
    return [_visit(call, pool) for call in calls]


def _pool_of(calls: Sequence[Call], weights: int) -> _Weights:
    return _Weights(max([min(weights, MOST_MIB * 2**18), *map(_weights_of, calls)]))


def _weights_of(call: Call) -> int:
    """Elements of memory that its weights take."""
    return sum(_extents([operand for operand in call.operands if operand.weight]).values())


def _extents(operands: Sequence[Operand]) -> dict[int, int]:
    """Elements that are used of each memory."""
    found: dict[int, int] = {}
    for operand in operands:
        found[operand.memory] = max(found.get(operand.memory, 0), operand.extent)
    return found


def _visit(call: Call, weights: _Weights) -> Visit:
    arguments, named, activations = _made(call, weights)
    for tensor in activations:
        tensor.fill_(0)
    before = preemptions()
    begin = time.perf_counter_ns()
    call.function(*arguments, **named)
    ms = (time.perf_counter_ns() - begin) / 1e6
    return ms, preemptions() != before


def _typical(visits: Sequence[Visit]) -> float:
    """Median of the undisturbed visits, or of the fastest quarter where these are fewer."""
    calm = [ms for ms, disturbed in visits if not disturbed]
    enough = max(1, len(visits) // 4)
    if len(calm) < enough:
        calm = sorted(ms for ms, _ in visits)[:enough]
    return float(np.median(calm))


class _Weights:
    """Numbers between 0.5 and 1.5, handed out in turn."""

    def __init__(self, elements: int) -> None:
        generator = torch.Generator().manual_seed(0)
        self._pool = torch.rand(elements, generator=generator).add_(0.5)
        self._next = 0

    def take(self, elements: int) -> Tensor:
        """The next so many numbers."""
        if self._next + elements > len(self._pool):
            self._next = 0
        begin = self._next
        self._next += -(-elements // 16) * 16  # whole cache lines
        return self._pool[begin : begin + elements]


def _made(call: Call, weights: _Weights) -> tuple[tuple[Any, ...], dict[str, Any], list[Tensor]]:
    """Arguments with real tensors; and the memory of those that are no weights."""
    extents = _extents(call.operands)
    memories: dict[int, Tensor] = {}
    activations = []
    for operand in call.operands:
        if operand.memory in memories:
            continue
        elements = extents[operand.memory]
        if operand.weight and operand.dtype is torch.float32:
            memories[operand.memory] = weights.take(elements)
        else:
            memories[operand.memory] = torch.zeros(elements, dtype=operand.dtype)
            activations.append(memories[operand.memory])

    def tensor(operand: Operand) -> Tensor:
        memory = memories[operand.memory]
        return memory.as_strided(
            operand.shape, operand.stride, memory.storage_offset() + operand.offset
        )

    arguments, named = tree_map_only(Operand, tensor, (call.arguments, call.named))
    return arguments, named, activations


def _reference() -> list[Call]:
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


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
