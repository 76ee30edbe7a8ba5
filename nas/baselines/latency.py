"""Latencies of any networks on a target: measured here, or predicted for a GPU elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import nn

from nas.baselines.choice import Growth
from nas.baselines.networks import as_deployed, build
from nas.errors import ExportError, NotFittedError, SettingsError
from nas.latency import Effort, Target, measure_networks
from nas.latency.devices import check
from nas.latency.gpu.predictor import GpuModel
from nas.latency.timing.machine import Machine
from nas.progress import Progress
from search_spaces.data_shape import DataShape

BRIEF = Effort(10.0, least=3, most=6)
"""For choosing; the chosen networks are measured again, beside ours."""


@dataclass(frozen=True)
class Timed:
    """Latencies of some networks on one target, in ms per batch."""

    ms: tuple[float | None, ...]
    """One per network; None for one that did not fit into the memory, or is not known."""
    measured: bool


def time_networks(
    networks: Sequence[nn.Module],
    shapes: Sequence[tuple[int, ...]],
    target: Target,
    machine_of: Callable[[Target], Machine],
    progress: Progress,
    effort: Effort | None = None,
) -> Timed:
    """Measure networks, taking turns; where that is not possible, predict them on a GPU.

    Args:
        networks: Any modules that take one tensor.
        shapes: Of their inputs.
        target: Device, runtime and precision.
        machine_of: Finds the machine of a target.
        progress: Shows the progress.
        effort: How long to measure.

    Raises:
        NotFittedError, ExportError: the processor at hand cannot be measured.
    """
    try:
        found = measure_networks(
            networks, shapes, target, effort=effort, progress=progress, machine=machine_of(target)
        )
    except (NotFittedError, ExportError):
        if target.device == "cpu":
            raise
        return _predicted(networks, shapes, target)
    pairs = zip(found.ms, found.fits, strict=True)
    return Timed(tuple(float(ms) if fits else None for ms, fits in pairs), measured=True)


def growth_of(
    names: Sequence[str],
    sides: Sequence[int],
    targets: Sequence[Target],
    shape: DataShape,
    machine_of: Callable[[Target], Machine],
    progress: Progress,
) -> dict[str, Growth]:
    """How the latencies of stock networks grow with their resolution, by name.

    Args:
        names: Models of timm.
        sides: Resolutions, ascending; the first and the last one are timed.
        targets: Where they are timed.
        shape: Channels of an image and number of classes.
        machine_of: Finds the machine of a target.
        progress: Shows the progress.
    """
    ends = (sides[0], sides[-1])
    pairs = [(name, side) for name in names for side in ends]
    networks = [as_deployed(_built(name, side, shape)) for name, side in pairs]
    timed = [
        time_networks(
            networks,
            [(target.images, shape.channels, side, side) for _, side in pairs],
            target,
            machine_of,
            progress,
            BRIEF,
        ).ms
        for target in targets
    ]
    return {
        name: Growth(ends, tuple((ms[2 * i], ms[2 * i + 1]) for ms in timed))
        for i, name in enumerate(names)
    }


def _built(name: str, side: int, shape: DataShape) -> nn.Module:
    try:
        return build(name, side, shape)
    except Exception as error:  # whatever timm raises
        raise SettingsError(
            f"The stock network '{name}' cannot be built for images of {side} px and "
            f"{shape.channels} channels ({error}). Leave it out of --baselines."
        ) from error


def _predicted(
    networks: Sequence[nn.Module], shapes: Sequence[tuple[int, ...]], target: Target
) -> Timed:
    """Predictions for a GPU; nothing is known for other devices."""
    if check(target.device).kind != "gpu":
        return Timed((None,) * len(networks), measured=False)
    model = GpuModel(target)
    found = (
        model.network(network, shape) for network, shape in zip(networks, shapes, strict=True)
    )
    return Timed(tuple(float(each.prediction.ms[0]) for each in found), measured=False)
