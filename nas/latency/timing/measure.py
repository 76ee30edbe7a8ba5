"""Measuring networks on the device at hand, with little influence of other programs.

    turns       networks take turns (`interleave.py`): a slow minute hits all alike
    medians     over the passes that were not interrupted, corrected for slowdowns by other
                programs (`samples.py`)
    apart       architectures are measured in a process of its own (`clean.py`), because networks
                are slower in a process that has trained

What a network runs on is a `Machine` (`machine.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import nn

from nas.latency.target import Target
from nas.latency.timing.clean import run_apart
from nas.latency.timing.job import Job, Timed, run_here, timed
from nas.latency.timing.machine import Effort, Machine
from nas.latency.timing.machines import machine_of
from nas.latency.timing.samples import Measurement
from nas.progress import Progress, Silent
from search_spaces.architecture import Architecture
from search_spaces.data_shape import DataShape

Floats = NDArray[np.float64]


def measure_finalists(
    architectures: Sequence[Architecture],
    target: Target,
    data_shape: DataShape = DataShape(),
    *,
    effort: Effort | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    machine: Machine | None = None,
) -> Measurement:
    """Measure architectures as whole networks with new weights, in a process of its own.

    Args:
        machine: Measures in this process on that machine instead.

    Raises:
        NotFittedError, MissingExtraError, ExportError: as `measure_networks`.
    """
    job = Job(tuple(architectures), target, data_shape, effort or Effort(), seed)
    return run_job(job, progress or Silent(), machine).measurement


def run_job(job: Job, progress: Progress, machine: Machine | None = None) -> Timed:
    """Do a job of measuring, in a process of its own unless a machine is given.

    Raises:
        NotFittedError, MissingExtraError, ExportError: as `measure_networks`.
    """
    return run_apart(job, progress) if machine is None else run_here(job, machine, progress)


def measure_networks(
    networks: Sequence[nn.Module],
    shapes: Sequence[tuple[int, ...]],
    target: Target,
    *,
    effort: Effort | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    machine: Machine | None = None,
) -> Measurement:
    """Measure any modules that take one tensor, in the target's runtime and in this process.

    Args:
        networks: What to measure. They end up in evaluation mode and, on a GPU, in its memory and
            in the target's precision.
        target: Runtime, precision and threads; batch and resolution are in `shapes`.

    Raises:
        MissingExtraError: the runtime, or the compiler that it needs, is not installed.
        ExportError: the runtime cannot run one of the networks.
        NotFittedError: the device is not at hand, or its memory cannot hold the networks.
    """
    progress, rng = progress or Silent(), np.random.default_rng(seed)
    machine = machine or machine_of(target)
    modules = [network.eval() for network in networks]
    with machine.ready():
        passes = machine.passes(modules, shapes, rng, progress)
    samples = timed(passes, shapes, target, machine, effort or Effort(), seed, progress)
    return Timed(samples, {}, {}).measurement
