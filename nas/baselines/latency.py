"""Latencies of any networks on a target: measured here, or predicted for a GPU elsewhere."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nas.baselines.apart import Latencies, measure_apart, measure_here
from nas.baselines.choice import Growth
from nas.baselines.model import Model
from nas.errors import CheckpointError, ExportError, NotFittedError, SpaceError
from nas.latency import Effort, Target
from nas.latency.devices import check
from nas.latency.gpu.predictor import GpuModel
from nas.latency.timing.machine import Machine
from nas.latency.timing.machines import machine_of as usual_machine
from nas.progress import Progress
from search_spaces.data_shape import DataShape

MachineOf = Callable[[Target], Machine]
BRIEF = Effort(10.0, least=3, most=6)
"""For choosing; the chosen networks are measured again, beside ours."""


@dataclass(frozen=True)
class Timed:
    """Latencies of some networks on one target."""

    ms: Latencies
    measured: bool
    factor: float = 1.0
    """How many times as high the upper ends of their predicted intervals are."""


def time_models(
    models: Sequence[Model],
    target: Target,
    machine_of: MachineOf | None,
    progress: Progress,
    effort: Effort | None = None,
    *,
    confidence: float,
) -> Timed:
    """Measure networks, taking turns; where that is not possible, predict them on a GPU.

    Args:
        models: The networks.
        target: Device, runtime and precision.
        machine_of: Finds the machine of a target, to measure in this process; by default a new
            process measures.
        progress: Shows the progress.
        effort: How long to measure.
        confidence: Share of networks within their predicted interval.

    Raises:
        NotFittedError, ExportError: the processor at hand cannot be measured.
    """
    try:
        return Timed(
            _measured(models, target, machine_of, progress, effort or Effort()), measured=True
        )
    except (NotFittedError, ExportError):
        if target.device == "cpu":
            raise
        return _predicted(models, target, confidence)


def growth_of(
    names: Sequence[str],
    sides: Sequence[int],
    targets: Sequence[Target],
    shape: DataShape,
    machine_of: MachineOf | None,
    progress: Progress,
    confidence: float,
) -> dict[str, Growth]:
    """How the latencies of stock networks grow with their resolution, by name.

    Where they are predicted, they are the upper ends of their intervals, as for our networks.

    Args:
        names: Models of timm.
        sides: Resolutions, ascending; the first and the last one are timed.
        targets: Where they are timed.
        shape: Channels of an image and number of classes.
        machine_of: As for `time_models`.
        progress: Shows the progress.
        confidence: As for `time_models`.
    """
    ends = (sides[0], sides[-1])
    asked = [(name, side) for name in names for side in dict.fromkeys(ends)]
    models = [Model(side, shape, name) for name, side in asked]
    found = []
    for target in targets:
        timed = time_models(models, target, machine_of, progress, BRIEF, confidence=confidence)
        absent = math.inf if timed.measured else None  # it does not fit, or nothing is known
        ms = (absent if each is None else each * timed.factor for each in timed.ms)
        found.append(dict(zip(asked, ms, strict=True)))
    return {
        name: Growth(ends, tuple((ms[name, ends[0]], ms[name, ends[1]]) for ms in found))
        for name in names
    }


def _measured(
    models: Sequence[Model],
    target: Target,
    machine_of: MachineOf | None,
    progress: Progress,
    effort: Effort,
) -> Latencies:
    if machine_of is not None:
        return measure_here(models, target, effort, machine_of(target), progress)
    try:
        return measure_apart(models, target, effort)
    except (CheckpointError, SpaceError):  # of parts that another process does not find
        return measure_here(models, target, effort, usual_machine(target), progress)


def _predicted(models: Sequence[Model], target: Target, confidence: float) -> Timed:
    """Predictions for a GPU; nothing is known for other devices."""
    if check(target.device).kind != "gpu":
        return Timed((None,) * len(models), measured=False)
    gpu = GpuModel(target)
    found = (gpu.network(model.load(), model.images(target.images)) for model in models)
    ms = tuple(float(each.prediction.ms[0]) for each in found)
    return Timed(ms, measured=False, factor=math.exp(gpu.half_width(confidence)))
