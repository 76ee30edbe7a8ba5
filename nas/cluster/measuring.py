"""Measuring on the node that has a device, alone on it, in a process of its own.

A node that has an A100 offers the resource `hardware_a100`. A processor is measured when the
whole node is idle, a GPU when it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from nas.cluster.connection import Cluster, ray_module
from nas.cluster.resources import HARDWARE, check_hardware
from nas.errors import ClusterError
from nas.latency.devices import check
from nas.latency.predictors import measured_predictor
from nas.latency.profiles.plan import Plan
from nas.latency.profiles.profile import Subject
from nas.latency.target import Target
from nas.latency.timing.machines import machine_of
from nas.latency.timing.measure import measure_finalists
from nas.latency.timing.samples import Measurement
from nas.progress import Progress
from nas.storage import atomic_write
from search_spaces import Architecture
from search_spaces.data_shape import DataShape

_PATIENCE_SECONDS = 20.0

Value = TypeVar("Value")


def offers(cluster: Cluster, device: str) -> bool:
    """Whether a node has the device."""
    return any(node.resources.get(f"{HARDWARE}{device}", 0) >= 1 for node in cluster.nodes())


def finalists_on_node(
    cluster: Cluster,
    architectures: Sequence[Architecture],
    target: Target,
    data_shape: DataShape,
    progress: Progress,
) -> Measurement:
    """`measure_finalists` on the node that has the target's device.

    Raises:
        ClusterError: no node offers it.
        NotFittedError, ExportError: it cannot be measured there.
    """
    return _alone(cluster, target.device, progress, _finalists, architectures, target, data_shape)


def profile_on_node(cluster: Cluster, subject: Subject, plan: Plan, progress: Progress) -> None:
    """Measure a profile on the node that has the device, and keep it in this machine's cache.

    Raises:
        ClusterError: no node offers the device, or its processor is of another kind.
        NotFittedError: it cannot be measured there.
    """
    device = subject.target.device
    name, content = _alone(cluster, device, progress, _profile, subject, plan)
    if name != subject.path.name:
        raise ClusterError(
            f"The processor of the node that offers '{HARDWARE}{device}', or its torch, is of "
            "another kind than this machine's, and a profile holds for its own kind alone. Run "
            "this command on that node."
        )
    atomic_write(subject.path, content)


def _finalists(
    architectures: Sequence[Architecture], target: Target, data_shape: DataShape
) -> Measurement:
    """Runs on the node."""
    return measure_finalists(architectures, target, data_shape, machine=machine_of(target))


def _profile(subject: Subject, plan: Plan) -> tuple[str, bytes]:
    """Runs on the node: name and content of the profile's file."""
    measured_predictor(subject.space, subject.target, subject.data_shape, again=True, plan=plan)
    return subject.path.name, subject.path.read_bytes()


def _alone(
    cluster: Cluster, device: str, progress: Progress, work: Callable[..., Value], *arguments: Any
) -> Value:
    """Run `work` on the node that offers the device, when nothing else runs there."""
    ray = ray_module()
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    node = check_hardware(cluster.nodes(), device)
    gpu = check(device).kind == "gpu"
    alone = ray.remote(max_calls=1)(work)  # the process ends with the task
    task = alone.options(
        num_cpus=1 if gpu else node.resources.get("CPU", 0),
        num_gpus=min(1, node.resources.get("GPU", 0)) if gpu else 0,
        resources={f"{HARDWARE}{device}": 1},
        scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False),
    )
    progress.say(f"measuring on {node.host}, which offers {device}")
    ref, began = task.remote(*arguments), time.monotonic()
    while not ray.wait([ref], timeout=_PATIENCE_SECONDS)[0]:
        cluster.check_alive()
        progress.say(f"still measuring, or waiting until {node.host} is idle: {_since(began)}")
    try:
        value: Value = ray.get(ref)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, Exception):
            raise error.cause from None
        raise
    except ray.exceptions.RayError as error:
        raise ClusterError(
            f"{node.host} was lost while it measured: {error}. Continue when it is back."
        ) from None
    return value


def _since(began: float) -> str:
    return f"{time.monotonic() - began:.0f} s"
