"""Predicts a network's latency on a GPU from its launches.

A known measurement scales the prediction: one of the same network on another GPU (`--measured`),
or those of other networks on the same target (`nas measure`).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from nas.commands.network import Network
from nas.commands.predicted import document_of, headline
from nas.errors import NasError, SettingsError
from nas.latency.gpu.network_time import NetworkTime
from nas.latency.gpu.predictor import GpuModel
from nas.latency.gpu.terms import sums_of, terms_of
from nas.latency.prediction import GPU_CHANGE, another_day, widened
from nas.latency.profiles.correction import FewShot
from nas.latency.profiles.gpu import correction_of
from nas.latency.target import Target
from nas.result import Outcome
from nas.units import format_mib, format_ms

COSTLIEST = 10
"""Number of launches that the document lists, the longest first."""


@dataclass(frozen=True)
class OnGpu:
    """A network and the GPU target to predict it for."""

    name: str
    """The name that the network was given."""
    network: Network
    asked: Target
    confidence: float
    explain: bool
    measured: tuple[str, float] | None
    """Another GPU, and the milliseconds measured there."""

    @property
    def target(self) -> Target:
        """The target, with the network's resolution."""
        return dataclasses.replace(self.asked, resolution=self.network.side)

    @property
    def batch(self) -> tuple[int, ...]:
        """The shape of the network's input."""
        return (self.target.images, *self.network.shape)


@dataclass(frozen=True)
class Found:
    """A network's predicted time, and how it was obtained."""

    time: NetworkTime
    basis: str
    rests_on: str


def predict_on_gpu(asked: OnGpu) -> Outcome:
    """The prediction, and how it was obtained.

    Raises:
        SettingsError: the network does not run on such images, or the confidence is unknown.
    """
    gpu = GpuModel(asked.target)
    gpu.half_width(asked.confidence)  # raises the error of a wrong one before the slow tracing
    correction, there = None, None
    if asked.measured is None:
        correction = correction_of(asked.target, gpu.id)
    else:
        there = GpuModel(dataclasses.replace(asked.target, device=asked.measured[0]))
    try:
        found = _found(asked, gpu, correction, there)
    except NasError:
        raise
    except Exception as error:  # whatever the network raises
        _, height, width = asked.network.shape
        raise SettingsError(
            f"'{asked.name}' does not run on images of {height} x {width} px ({error}). "
            "Choose another --resolution, or leave it out for the network's own."
        ) from error
    time = found.time
    document = {
        **document_of(
            asked.name, asked.network.id, asked.target, time.prediction, asked.confidence
        ),
        "basis": found.basis,
        "rests_on": found.rests_on,
        "memory_mib": time.memory_mib,
        "energy_mj_at_most": time.energy_mj,
        "device_ms": time.device_ms,
        "host_ms": time.host_ms,
        "kernels": time.by_kind(),
    }
    if asked.explain:
        document["launches"] = [dataclasses.asdict(one) for one in time.launches[:COSTLIEST]]
    return Outcome((headline(document), *_facts(gpu, found)), document)


def _found(
    asked: OnGpu, gpu: GpuModel, correction: FewShot | None, there: GpuModel | None
) -> Found:
    """The time predicted from the launches, scaled by the measurements.

    Args:
        asked: The network and its target.
        gpu: The target's model.
        correction: By other networks measured on the target.
        there: The model of the GPU on which this network was measured.
    """
    time = gpu.network(asked.network.module, asked.batch, asked.confidence)
    if asked.measured is not None and there is not None:
        device, measured_ms = asked.measured
        ms = there.network(asked.network.module, asked.batch).prediction.ms
        half_width = gpu.half_width(asked.confidence, "known")
        scaled = time.corrected(measured_ms / float(ms[0]), half_width)
        said = (
            f"{format_ms(measured_ms)} measured on {device}, carried over by the predicted ratio"
        )
        return Found(scaled, gpu.basis, said)
    if correction is not None:
        terms = terms_of(gpu, sums_of(gpu, [(asked.network.module, asked.batch)]))
        own = widened(another_day(correction.log_half_width, GPU_CHANGE), asked.confidence)
        half_width = max(own, gpu.half_width(asked.confidence, "corrected"))
        ratio = float(correction.predict(terms).ms[0] / time.prediction.ms[0])
        said = (
            f"predicted from kernels, corrected by {len(correction.held_out_ms)} other networks "
            "measured on this target"
        )
        return Found(time.corrected(ratio, half_width), "corrected", said)
    return Found(time, gpu.basis, gpu.rests_on)


def _facts(gpu: GpuModel, found: Found) -> list[str]:
    """Lines below the prediction: its basis, times, memory and energy, aligned."""
    time = found.time
    device, host = format_ms(time.device_ms), format_ms(time.host_ms)
    slower = "launching" if time.waits_for_host else "running"
    launches = sum(launch.count for launch in time.launches)
    facts = {
        "target": str(gpu.target),
        "rests on": found.rests_on,
        "takes": f"{device} to run {launches} kernels, {host} to launch them: {slower} decides",
        "memory": f"{format_mib(time.memory_mib)} of weights and activations",
    }
    gib = gpu.device.memory_gib
    if 0 < gib * 1024 < time.memory_mib:
        facts["memory"] += f", more than the {gib:g} GiB that the device has"
    if time.energy_mj is not None:
        joule = time.energy_mj / 1000
        facts["energy"] = f"{joule:.3g} J per batch at most, at the board's power limit"
    if time.unknown:
        facts["unknown"] = f"{', '.join(time.unknown)} (counted as copies)"
    return [f"  {name:<9} {fact}" for name, fact in facts.items()]
