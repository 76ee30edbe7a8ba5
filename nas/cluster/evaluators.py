"""Evaluates the candidates of a search on the workers of a cluster.

    waiting candidates --chunks of equal predicted cost--> workers, two chunks each
    results, as they come --> the engine, which tells them in the order of asking

A worker that dies gives its candidates to others. Those of its first chunk go out alone: each to
a worker that has nothing else, since a worker that dies can take finished results with it. So a
candidate that kills workers is found, and no other one is blamed. A candidate that fails twice by
itself is recorded as failed. A node that disappears is nobody's fault and does not count.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nas.cluster.connection import Cluster, ray_module
from nas.cluster.pace import Pace
from nas.cluster.worker import Greeting, Make, Worker, versions
from nas.errors import ClusterError, ClusterLostError
from nas.search.evaluators import FAILED, TRIES, Identify, Outcome
from nas.search.protocol import Codes, Floats

_LOG = logging.getLogger(__name__)

CHUNK_SECONDS = 0.5
"""Predicted length of a chunk at most: results come back at least that often."""
CHUNKS_AHEAD = 2
"""Chunks that a worker has at once, so that it need not wait for the next."""
_SILENCE_SECONDS = 5.0
_PATIENCE_SECONDS = 60.0

Costs = Callable[[Codes], Floats]
"""Codes (n, genes) to what their evaluations are predicted to cost, in any unit: (n,)."""


@dataclass(eq=False)
class _Chunk:
    """Candidates that one worker evaluates together."""

    indices: list[int]
    slot: _Slot
    alone: bool
    """Whether the worker has nothing else, so that its death is this chunk's fault."""


@dataclass(eq=False)
class _Slot:
    """A place for a worker; another worker takes it when this one dies."""

    number: int
    actor: Any
    greeting: Greeting | None = None
    chunks: list[Any] = field(default_factory=list)
    """References to the results of its chunks, in their order."""
    suspect: Any = None
    """The first of them when the worker died; None if its node did."""


class OnWorkers:
    """Evaluates candidates on a cluster, in any order; `on_workers` makes one.

    Args:
        cluster: Where.
        make: Makes what evaluates codes, in each worker.
        shared: What `make` takes; its arrays are sent to each node once.
        identify: For candidates that no worker could evaluate.
        costs: Predicts what evaluations cost, to make chunks of equal length.
        say: Shows a person a line about failures.
    """

    def __init__(
        self,
        cluster: Cluster,
        make: Make,
        shared: Any,
        *,
        identify: Identify,
        costs: Costs,
        say: Callable[[str], None],
    ) -> None:
        self._ray, self._cluster = ray_module(), cluster
        self._identify, self._costs, self._say = identify, costs, say
        self._shared = self._ray.put(shared)
        self._make = self._ray.put(make)
        self._codes: dict[int, Codes] = {}
        self._cost: dict[int, float] = {}
        self._queue: deque[int] = deque()
        self._alone: deque[int] = deque()  # candidates of chunks that failed
        self._chunks: dict[Any, _Chunk] = {}
        self._starting: dict[Any, _Slot] = {}
        self._failures: Counter[int] = Counter()
        self._pace = Pace()
        self._deaths_in_row, self._silent_since = 0, time.monotonic()
        self.events: list[str] = []
        """What went wrong, in words."""
        most = cluster.choice.most or cluster.workers
        self._slots = [self._started(number) for number in range(most)]

    def submit(self, index: int, code: Codes) -> None:
        """Queue a code; it is sent when results are collected."""
        self._codes[index] = code
        self._queue.append(index)

    def collect(self) -> dict[int, Outcome]:
        """Wait for at least one result, keeping every worker busy meanwhile.

        Raises:
            NasError: what the codes are evaluated with is wrong, such as the data.
            ClusterLostError: the cluster, or every worker, is lost.
        """
        found: dict[int, Outcome] = {}
        while not found:
            self._send()
            for ref in self._arrived():
                if ref in self._starting:
                    self._greet(self._starting.pop(ref), ref)
                else:
                    found |= self._results(self._chunks.pop(ref), ref)
        return found

    def note(self) -> str:
        """`2 workers, 31/s`, and how many failures there were."""
        workers = sum(slot.greeting is not None for slot in self._slots)
        failures = f", {len(self.events)} failures" if self.events else ""
        return f"{workers} workers, {self._pace.per_second:.3g}/s{failures}"

    def summary(self) -> dict[str, Any]:
        """What the workers did, for the report."""
        return {
            "workers": len(self._slots),
            "nodes": sorted({slot.greeting.host for slot in self._slots if slot.greeting}),
            "evaluations": self._pace.done,
            "seconds": round(self._pace.seconds, 1),
            "worker_seconds": round(self._pace.worker_seconds, 1),
            "failures": self.events,
        }

    def close(self) -> None:
        """Let go of the workers."""
        for slot in self._slots:
            self._ray.kill(slot.actor)

    def _started(self, number: int) -> _Slot:
        """A slot with a worker that is being started, or that waits for a node with room."""
        choice = self._cluster.choice
        actor = (
            self._ray.remote(Worker)
            .options(num_cpus=choice.cpus, num_gpus=choice.gpus)
            .remote(self._make, self._shared, max(1, int(choice.cpus)))
        )
        slot = _Slot(number, actor)
        self._starting[actor.load.remote()] = slot
        return slot

    def _send(self) -> None:
        """Give chunks to the workers that have the fewest."""
        for ahead in range(CHUNKS_AHEAD):
            for slot in self._slots:
                if (
                    slot.greeting is None
                    or len(slot.chunks) > ahead
                    or self._tries_one_alone(slot)
                ):
                    continue
                if self._alone:
                    if not slot.chunks:  # the others get no more until they have finished
                        self._send_to(slot, [self._alone.popleft()], alone=True)
                elif self._queue:
                    self._send_to(slot, self._next_chunk(), alone=False)

    def _tries_one_alone(self, slot: _Slot) -> bool:
        """Whether its worker evaluates a candidate that is tried alone."""
        return any(self._chunks[ref].alone for ref in slot.chunks)

    def _send_to(self, slot: _Slot, indices: list[int], *, alone: bool) -> None:
        ref = slot.actor.evaluate.remote([self._codes[index] for index in indices])
        slot.chunks.append(ref)
        self._chunks[ref] = _Chunk(indices, slot, alone)

    def _next_chunk(self) -> list[int]:
        """A fair share of what waits, at most `CHUNK_SECONDS` long."""
        self._predict_costs()
        workers = max(1, sum(slot.greeting is not None for slot in self._slots))
        share = sum(self._cost[index] for index in self._queue) / (CHUNKS_AHEAD * workers)
        most = min(share, self._pace.cost_in(CHUNK_SECONDS))
        chunk, cost = [self._queue.popleft()], 0.0
        while self._queue and (cost := cost + self._cost[chunk[-1]]) < most:
            chunk.append(self._queue.popleft())
        return chunk

    def _predict_costs(self) -> None:
        new = [index for index in self._queue if index not in self._cost]
        if new:
            costs = np.nan_to_num(self._costs(np.stack([self._codes[i] for i in new])), nan=1.0)
            self._cost |= dict(zip(new, costs.tolist(), strict=True))

    def _arrived(self) -> list[Any]:
        """References that are ready; waits for the first one."""
        waiting = [*self._chunks, *self._starting]
        ready, _ = self._ray.wait(waiting, timeout=_SILENCE_SECONDS)
        if not ready:
            self._cluster.check_alive()
            self._tell_if_stuck()
            return []
        self._silent_since = time.monotonic()
        more, _ = self._ray.wait(waiting, num_returns=len(waiting), timeout=0)
        refs: list[Any] = more
        return refs

    def _tell_if_stuck(self) -> None:
        """Say it when there is no worker, and why."""
        silent = time.monotonic() - self._silent_since
        if silent > _PATIENCE_SECONDS and all(slot.greeting is None for slot in self._slots):
            self._silent_since = time.monotonic()
            nodes = self._cluster.nodes()
            self._say(
                f"waiting for room for {self._cluster.choice}: the cluster has {len(nodes)} nodes "
                "now. Start more, or stop with Ctrl-C and continue later"
            )

    def _greet(self, slot: _Slot, ref: Any) -> None:
        """Take a worker that has loaded everything into the team."""
        try:
            greeting: Greeting = self._ray.get(ref)
        except self._ray.exceptions.RayTaskError as error:
            raise _cause(error) from None
        except self._ray.exceptions.RayError as error:
            if "creation task" in str(error):
                why = str(error).strip().splitlines()[-1]
                raise ClusterError(
                    f"A worker cannot start: {why}. Every node needs the same installation of nas "
                    "as this machine."
                ) from None
            return self._replace(slot, error)
        if greeting.versions != (here := versions()):
            raise ClusterError(
                f"The machine {greeting.host} has other versions than this one: "
                f"{greeting.versions} there, {here} here. Results would differ: install the same."
            )
        slot.greeting = greeting

    def _results(self, chunk: _Chunk, ref: Any) -> dict[int, Outcome]:
        """The final outcomes of a chunk; the other candidates are queued again."""
        try:
            outcomes: list[Outcome] = self._ray.get(ref)
        except self._ray.exceptions.RayTaskError as error:
            raise _cause(error) from None
        except self._ray.exceptions.RayError as error:
            return self._lost(chunk, ref, error)
        chunk.slot.chunks.remove(ref)
        self._deaths_in_row = 0
        spent = sum(self._cost.get(index, 0.0) for index in chunk.indices)
        self._pace.learn(spent, outcomes)
        found = {}
        for index, outcome in zip(chunk.indices, outcomes, strict=True):
            if outcome.error is None or self._failed_for_good(index, outcome.error):
                found[index] = outcome
                self._forget(index)
        return found

    def _lost(self, chunk: _Chunk, ref: Any, error: Exception) -> dict[int, Outcome]:
        """A worker died with this chunk: its candidates go to others."""
        slot = chunk.slot
        if slot.greeting is not None:  # the first that is heard of its death
            slot.suspect = None if self._is_gone(slot, error) else slot.chunks[0]
            self._replace(slot, error)
        if ref is not slot.suspect:
            self._queue.extendleft(reversed(chunk.indices))
            return {}
        if not chunk.alone:  # it may have been another one
            self._alone.extend(chunk.indices)
            return {}
        (index,), died = chunk.indices, "the worker died while it evaluated this"
        if not self._failed_for_good(index, died):
            return {}
        code = self._codes[index]
        self._forget(index)
        return {index: Outcome(self._identify(code), FAILED, 0.0, died)}

    def _failed_for_good(self, index: int, error: str) -> bool:
        """Count a failure; whether it was the last one allowed. If not, it is tried alone."""
        self._failures[index] += 1
        if self._failures[index] < TRIES:
            self._alone.append(index)
            return False
        self._tell(f"evaluation {index} failed twice and is recorded as failed: {error}")
        return True

    def _is_gone(self, slot: _Slot, error: Exception) -> bool:
        """Whether the worker's node is gone, and not the worker alone."""
        alive = {node.id for node in self._cluster.nodes()}
        return "node has died" in str(error) or (
            slot.greeting is not None and slot.greeting.node not in alive
        )

    def _replace(self, slot: _Slot, error: Exception) -> None:
        """Start another worker in a slot.

        Raises:
            ClusterLostError: workers die again and again without any result.
        """
        self._deaths_in_row += 1
        where = f" on {slot.greeting.host}" if slot.greeting else ""
        why = str(error).strip().splitlines()[0]
        self._tell(f"worker {slot.number}{where} died, another one takes its work: {why}")
        if self._deaths_in_row > 3 * len(self._slots):
            raise ClusterLostError(
                f"Workers die again and again, the last one: {error}. What was done so far is "
                "kept; see to the cluster, such as its memory, and continue."
            )
        self._slots[slot.number] = self._started(slot.number)
        slot.greeting = None

    def _tell(self, what: str) -> None:
        _LOG.warning("%s", what)
        self.events.append(what)
        self._say(what)

    def _forget(self, index: int) -> None:
        del self._codes[index]
        self._cost.pop(index, None)


@contextlib.contextmanager
def on_workers(
    cluster: Cluster,
    make: Make,
    shared: Any,
    *,
    identify: Identify,
    costs: Costs,
    say: Callable[[str], None],
) -> Iterator[OnWorkers]:
    """Workers for the length of the block; the arguments are those of `OnWorkers`."""
    workers = OnWorkers(cluster, make, shared, identify=identify, costs=costs, say=say)
    try:
        yield workers
    finally:
        workers.close()


def _cause(error: Any) -> BaseException:
    """What was raised in the worker."""
    cause: BaseException = error.cause
    return cause if isinstance(cause, BaseException) else error
