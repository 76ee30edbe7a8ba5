"""Messages from the workers of trainings to the driver, and how a person sees them."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from nas.cluster.connection import Cluster, ray_module
from nas.progress import Progress
from supernet.training.loop import TrainingProgress

_LOG = logging.getLogger(__name__)
_PATIENCE = 5.0
"""Seconds without an answer after which the cluster is asked whether it is alive."""

Message = tuple[str, str, Any]
"""The training's name, the kind of message, and its content."""


class Mailbox:
    """Holds messages until the driver takes them. It runs as an actor."""

    def __init__(self) -> None:
        self._messages: list[Message] = []
        self._began: dict[str, float] = {}
        self._held: dict[tuple[str, str], Any] = {}

    def put(self, message: Message) -> None:
        """Add one."""
        name, kind, value = message
        if kind in ("controller", "room"):
            self._held[name, kind] = value
        else:
            self._messages.append(message)
        if kind == "workers":
            self._began[name] = time.monotonic()
        elif kind == "finished":
            self._began.pop(name, None)

    def seconds(self, name: str) -> float:
        """Since the workers of a training last began; 0 before that and after the end."""
        return time.monotonic() - self._began[name] if name in self._began else 0.0

    def held(self, name: str, kind: str) -> Any:
        """The `controller` of a training, or the `room` that its workers take; None if unknown."""
        return self._held.get((name, kind))

    def take(self) -> list[Message]:
        """All that arrived since the last time."""
        messages, self._messages = self._messages, []
        return messages


@contextlib.contextmanager
def mailbox() -> Iterator[Any]:
    """The handle of a mailbox on the driver's node, which any worker can be given.

    Elsewhere it would be lost with its node, and the driver would hear no more of the workers.
    """
    ray = ray_module()
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    box = ray.remote(num_cpus=0, scheduling_strategy=here)(Mailbox).remote()
    try:
        yield box
    finally:
        with contextlib.suppress(Exception):  # a cluster that is lost has none to end
            ray.kill(box)


@dataclass
class Watch:
    """Shows what workers tell: bars, how many they are, failures."""

    console: Progress
    titles: Mapping[str, str]
    """What each training is called."""
    failures: dict[str, list[str]] = field(default_factory=dict)
    """What went wrong so far in each training, whether or not it was tried again."""
    _bars: dict[str, Callable[[int, str], None]] = field(default_factory=dict)
    _workers: dict[str, int] = field(default_factory=dict)
    _fresh: set[str] = field(default_factory=set)
    """Trainings whose workers have just begun."""
    _held: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def look(self, box: Any, cluster: Cluster) -> None:
        """Show the messages that have arrived.

        Raises:
            ClusterLostError: there is no answer, because the cluster is gone.
        """
        ray = ray_module()
        try:
            messages = ray.get(box.take.remote(), timeout=_PATIENCE)
        except ray.exceptions.RayError:  # busy, or on a node that is gone
            cluster.check_alive()
            return
        for message in messages:
            self._show(*message)

    def _show(self, name: str, kind: str, value: Any) -> None:
        title = self.titles.get(name, name)
        if kind == "workers":
            self._workers[name] = value
            self._fresh.add(name)
            self.console.say(f"{title}: {_count(value)}")
        elif kind == "progress":
            self._advance(name, title, value)
        elif kind == "failure":
            for rank, why in value.items():
                self.failures.setdefault(name, []).append(why)
                self.console.say(f"{title}: worker {rank} failed ({why})")
                _LOG.warning("%s: worker %s failed: %s", name, rank, why)

    def _advance(self, name: str, title: str, now: TrainingProgress) -> None:
        if name not in self._bars:
            self._bars[name] = self._held.enter_context(self.console.task(title, now.steps))
        if name in self._fresh and now.step > 1:
            self.console.say(f"{title}: goes on from step {now.step - 1} of {now.steps}")
        self._fresh.discard(name)
        workers = _count(self._workers.get(name, 1))
        self._bars[name](now.step, f"loss {now.loss:.3f}, {workers}")
        if now.note:
            self.console.say(f"{title}: {now.note}")


def _count(workers: int) -> str:
    return f"{workers} worker{'s' if workers > 1 else ''}"
