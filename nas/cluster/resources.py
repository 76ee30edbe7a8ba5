"""What a command asks of a cluster, and whether the cluster has it.

Ray lets a request that no node can meet wait for ever. So everything is compared before anything
starts: what was asked, what there is, what to do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nas.errors import ClusterError

HARDWARE = "hardware_"
"""A node that has the device `a100` offers the resource `hardware_a100`."""


@dataclass(frozen=True)
class RayChoice:
    """Which cluster to work on, and with how many workers of what size."""

    address: str
    """`local`, `auto` (the cluster of this machine or job) or HOST:PORT."""
    fewest: int | None = None
    """Workers that must have room before the work begins; None: as many as `most`, or 1."""
    most: int | None = None
    """Workers at most; None: as many as have room."""
    cpus: float = 1.0
    """Processors of each worker."""
    gpus: float = 0.0
    """GPUs of each worker; a fraction shares one."""
    storage: str | None = None
    """Where trainings keep their checkpoints: a folder that all nodes see, or a URL of a bucket;
    None for the folder of the run or of the cache."""

    @property
    def needed(self) -> int:
        """Workers that must have room before the work begins."""
        return self.fewest or self.most or 1

    @property
    def each(self) -> dict[str, float]:
        """The resources of one worker, as Ray names them."""
        return {"CPU": self.cpus, **({"GPU": self.gpus} if self.gpus else {})}

    @property
    def device(self) -> str:
        """The kind of device that a worker computes on, as torch names it."""
        return "cuda" if self.gpus else "cpu"

    def __str__(self) -> str:
        gpus = f" and {self.gpus:g} GPUs" if self.gpus else ""
        return f"{self.needed} workers with {self.cpus:g} CPUs{gpus} each"


@dataclass(frozen=True)
class Node:
    """One machine of a cluster."""

    id: str
    host: str
    resources: Mapping[str, float]
    """In all, whether in use or not: `CPU`, `GPU`, `memory`, `hardware_a100`, ..."""

    def room(self, each: Mapping[str, float]) -> int:
        """How many workers with these resources fit on it when it is idle."""
        has = self.resources
        counts = [int(has.get(name, 0.0) / needed) for name, needed in each.items() if needed]
        return min(counts, default=0)


def room(nodes: Sequence[Node], each: Mapping[str, float]) -> int:
    """How many workers with these resources fit on all nodes."""
    return sum(node.room(each) for node in nodes)


def check_room(nodes: Sequence[Node], choice: RayChoice) -> int:
    """The number of workers that fit, at most as many as were asked for.

    Raises:
        ClusterError: fewer fit than are needed.
    """
    fits = room(nodes, choice.each)
    if fits < choice.needed:
        raise ClusterError(
            f"The cluster is too small: {choice} were asked for, and it has room for {fits}. "
            f"There are {_in_words(nodes)}. Ask for fewer or smaller workers (--workers, "
            "--worker-cpus, --worker-gpus), or start more nodes first."
        )
    return fits if choice.most is None else min(fits, choice.most)


def check_hardware(nodes: Sequence[Node], device: str) -> Node:
    """The node that offers a device to measure on.

    Raises:
        ClusterError: none does.
    """
    name = f"{HARDWARE}{device}"
    for node in nodes:
        if node.resources.get(name, 0.0) >= 1.0:
            return node
    offered = sorted({r for node in nodes for r in node.resources if r.startswith(HARDWARE)})
    raise ClusterError(
        f"No node of the cluster offers '{name}', so nothing can be measured on {device}. "
        f"Offered are: {', '.join(offered) or 'none'}. Start Ray on the machine that has the "
        f"device with: ray start --address=HEAD:6379 --resources='{{\"{name}\": 1}}'"
    )


def _in_words(nodes: Sequence[Node]) -> str:
    """`2 nodes with 12 CPUs and 1 GPUs`."""
    cpus, gpus = (sum(node.resources.get(kind, 0.0) for node in nodes) for kind in ("CPU", "GPU"))
    return f"{len(nodes)} nodes with {cpus:g} CPUs and {gpus:g} GPUs together"
