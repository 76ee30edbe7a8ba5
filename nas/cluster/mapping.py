"""A function of many items, on the workers of a cluster: the results in the items' order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from nas.cluster.connection import Cluster, ray_module
from nas.errors import ClusterError, in_short

Item = TypeVar("Item")
Value = TypeVar("Value")


def map_on(
    cluster: Cluster,
) -> Callable[[Callable[[Item], Value], Sequence[Item]], Iterable[Value]]:
    """As `map`, each item in a task of its own; a task whose worker dies is done again."""

    def run(function: Callable[[Item], Value], items: Sequence[Item]) -> Iterator[Value]:
        ray = ray_module()
        choice = cluster.choice
        task = ray.remote(_call).options(
            num_cpus=choice.cpus, num_gpus=choice.gpus, max_retries=2, retry_exceptions=False
        )
        shared = ray.put(function)
        refs = [task.remote(shared, item) for item in items]
        for ref in refs:
            while not ray.wait([ref], timeout=5)[0]:
                cluster.check_alive()
            try:
                yield ray.get(ref)
            except ray.exceptions.RayTaskError as error:
                if isinstance(error.cause, Exception):
                    raise error.cause from None
                raise
            except ray.exceptions.RayError as error:
                raise ClusterError(
                    f"A worker was lost three times ({in_short(error)}). Give each more memory, "
                    "or use fewer --workers, then run the same command again."
                ) from None

    return run


def _call(function: Callable[[Item], Value], item: Item) -> Value:
    return function(item)
