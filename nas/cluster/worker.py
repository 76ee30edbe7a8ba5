"""A worker: an actor that evaluates chunks of codes with what it was given once.

Large arrays come through Ray's object store: one copy per machine, which its workers share.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from nas.environment import version
from nas.search.evaluators import Evaluating, Outcome
from nas.search.protocol import Codes

PACKAGES = ("nas-vision", "torch", "numpy")
"""Whose versions must be the same everywhere, or the numbers differ."""

Make = Callable[[Any], Evaluating]
"""Shared arrays to what evaluates codes. It is pickled, and called once in each worker."""


@dataclass(frozen=True)
class Greeting:
    """A worker that is ready to work."""

    node: str
    """Id of its node."""
    host: str
    versions: dict[str, str | None]


class Worker:
    """Evaluates codes in a process of its own. Ray makes the actor from this class."""

    def __init__(self, make: Make, shared: Any, threads: int) -> None:
        self._make, self._shared, self._threads = make, shared, threads
        self._evaluating: Evaluating | None = None

    def load(self) -> Greeting:
        """Get ready: everything that can go wrong once goes wrong here."""
        import ray
        import torch  # takes seconds

        torch.set_num_threads(self._threads)
        self._evaluating = self._make(self._shared)
        here = ray.get_runtime_context()
        host: str = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
        return Greeting(here.get_node_id(), host, versions())

    def evaluate(self, codes: Sequence[Codes]) -> list[Outcome]:
        """The outcome of each code (genes,), each tried once."""
        assert self._evaluating is not None
        return [self._evaluating.once(code) for code in codes]


def versions() -> dict[str, str | None]:
    """The versions that must agree, in this process."""
    return {name: version(name) for name in PACKAGES}
