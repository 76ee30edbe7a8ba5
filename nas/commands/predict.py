"""What `nas predict` does: how long one network takes on a target, without running it.

    timm:NAME                 a model of timm, with or without its pretrained tag
    FILE                      an architecture (YAML or JSON), or the folder of an exported network
    RUN/ID, RUN:ID            a member of a run's front

For a GPU the network is traced and its kernels are predicted, corrected by what was measured under
the same target (`nas measure`, `--import`); no images are loaded. On other devices, and of a space
that was measured on a GPU, architectures are predicted from what was measured of their space;
models of timm, on the processor at hand, from their operations.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from nas.errors import RunError, SettingsError, SpaceError
from nas.latency.devices import check
from nas.latency.prediction import COVERAGE, GPU_CHANGE, Prediction, another_day, widened
from nas.latency.profiles.profile import profile_path, profiles_of
from nas.latency.target import Target
from nas.progress import Progress
from nas.result import Outcome
from nas.run.context import Context
from nas.run.folder import read_run
from nas.search.front_file import read_front
from nas.settings import Settings
from nas.units import format_mib, format_ms
from search_spaces import Architecture, build_network

if TYPE_CHECKING:
    from nas.latency.gpu.predictor import GpuModel, NetworkTime

TIMM = "timm:"
COSTLIEST = 10
_IN_CHANNELS, _NUM_CLASSES = 3, 10
"""Of an architecture's images where no data are named."""


@dataclass(frozen=True)
class _Member:
    """An architecture, with the settings of the run that found it."""

    architecture: Architecture
    run: Settings | None = None

    def completed(self, settings: Settings) -> Settings:
        """The run's space and data where the settings name none."""
        if self.run is None:
            return settings
        missing = {"space", "data"} - settings.model_fields_set
        return settings.model_copy(update={name: getattr(self.run, name) for name in missing})


@dataclass(frozen=True)
class _Network:
    """A network to predict; `shape` of an image is (channels, height, width)."""

    module: nn.Module
    shape: tuple[int, int, int]
    id: str | None = None


def predict(
    network: str,
    settings: Settings,
    *,
    confidence: float = COVERAGE,
    explain: bool = False,
    measured: tuple[str, float] | None = None,
    console: Progress,
) -> Outcome:
    """The latency of one network, with its interval.

    Args:
        network: `timm:NAME`, an architecture file, RUN/ID or RUN:ID.
        settings: The target, and where it was measured the space whose profile predicts; a member
            of a run brings the run's space and data if the settings name none.
        confidence: Share of networks that the interval covers.
        explain: Whether the document lists the costliest launches.
        measured: Another GPU, and milliseconds that the network was measured to take there in the
            same runtime, precision, layout and batch: carried over by the predicted ratio.
        console: Who is told.

    Raises:
        UnknownNameError: timm has no such model.
        RunError: there is no such file or member.
        SpaceError: the file holds no architecture, or none of the space.
        SettingsError: the network cannot be predicted with these settings.
    """
    member = None if network.startswith(TIMM) else _member(network)
    context = Context(settings)
    device = context.target.device
    if check(device).kind == "gpu":
        if member is None:
            found = _of_timm(network.removeprefix(TIMM), context)
            return _on_gpu(network, found, context, confidence, explain, measured)
        if measured is not None or explain or not _was_measured(member, settings):
            found = _of_architecture(member.architecture, context)
            return _on_gpu(network, found, context, confidence, explain, measured)
    elif measured is not None:
        raise SettingsError(
            f"A time is carried from one GPU to another; {device} is none: leave --measured out."
        )
    if explain:
        raise SettingsError(
            f"Predictions for {device} are sums of what was measured there, and know no kernels. "
            "Leave out --explain, or name a GPU with --hardware."
        )
    if member is not None:
        return _from_profile(network, member, settings, confidence, console)
    if device != "cpu":
        raise SettingsError(
            f"For {device} only architectures of a measured space can be predicted (a file, "
            f"RUN/ID), and '{network}' is none. Predict it for the machine at hand or for a GPU: "
            "--hardware cpu, --hardware a100."
        )
    return _from_operations(network, context, confidence, console)


def _was_measured(member: _Member, settings: Settings) -> bool:
    """Whether networks of the member's space were measured on this GPU."""
    context = Context(member.completed(settings))
    if not profiles_of(context.target.device):
        return False  # the images need not be known
    ends = context.data.in_channels, context.data.num_classes
    return profile_path(context.target, context.space.part_index(*ends), *ends).exists()


def _from_profile(
    network: str, member: _Member, settings: Settings, confidence: float, console: Progress
) -> Outcome:
    from nas.latency import predictor_for

    context = Context(member.completed(settings))
    architecture = member.architecture
    data, target = context.data, context.target
    predictor = predictor_for(
        context.space,
        target,
        data.in_channels,
        data.num_classes,
        confidence=confidence,
        progress=console,
    )
    found = predictor.predict(context.space.encode(architecture)[None])
    rests_on = {"basis": "measured", "rests_on": str(predictor)}
    document = {**_said(network, architecture.id, target, found, confidence), **rests_on}
    return Outcome((*_headline(document), f"on {target}"), document)


def _from_operations(
    network: str, context: Context, confidence: float, console: Progress
) -> Outcome:
    """A model of timm on the processor at hand."""
    from nas.latency.operations.predictor import KernelPredictor

    found = _of_timm(network.removeprefix(TIMM), context)
    found.module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    _, height, width = found.shape
    square = height if height == width else None
    predictor = KernelPredictor.of(context.target, progress=console)
    shape = (context.target.images, *found.shape)
    prediction = predictor.predict([found.module], [shape], confidence, progress=console)
    target = dataclasses.replace(context.target, resolution=square)
    rests_on = {"basis": "measured", "rests_on": str(predictor)}
    document = {**_said(network, None, target, prediction, confidence), **rests_on}
    return Outcome((*_headline(document), f"on {target}"), document)


def _on_gpu(
    network: str,
    found: _Network,
    context: Context,
    confidence: float,
    explain: bool,
    measured: tuple[str, float] | None,
) -> Outcome:
    from nas.latency.gpu.predictor import GpuModel
    from nas.latency.gpu.terms import sums_of, terms_of
    from nas.latency.profiles.gpu import correction_of

    _, height, width = found.shape
    square = height if height == width else None
    target = dataclasses.replace(context.target, resolution=square)
    gpu = GpuModel(target)
    gpu.half_width(confidence)  # a wrong one is told before anything is traced
    correction = None if measured is not None else correction_of(target, gpu.model.id)
    try:
        shape = (target.images, *found.shape)
        time = gpu.network(found.module, shape, confidence)
        if measured is not None:
            there = GpuModel(dataclasses.replace(target, device=measured[0]))
            ms = there.network(found.module, shape).prediction.ms
            time = time.corrected(measured[1] / float(ms[0]), gpu.half_width(confidence, "known"))
        if correction is not None:
            ms = correction.predict(terms_of(gpu, sums_of(gpu, [(found.module, shape)]))).ms
            of_measured = widened(another_day(correction.log_half_width, GPU_CHANGE), confidence)
            half_width = max(of_measured, gpu.half_width(confidence, "corrected"))
            time = time.corrected(float(ms[0] / time.prediction.ms[0]), half_width)
    except Exception as error:  # whatever the network raises
        raise SettingsError(
            f"'{network}' does not run on images of {height} x {width} px ({error}). "
            "Choose another --resolution, or leave it out for the network's own."
        ) from error
    basis, rests_on = gpu.basis, gpu.rests_on
    if measured is not None:
        carried = f"{format_ms(measured[1])} measured on {measured[0]}"
        rests_on = f"{carried}, carried over by the predicted ratio"
    if correction is not None:
        basis = "corrected"
        rests_on = (
            f"predicted from kernels, corrected by {len(correction.held_out_ms)} other networks "
            "measured under this target"
        )
    document = {
        **_said(network, found.id, target, time.prediction, confidence),
        "basis": basis,
        "rests_on": rests_on,
        "memory_mib": time.memory_mib,
        "energy_mj_at_most": time.energy_mj,
        "device_ms": time.device_ms,
        "host_ms": time.host_ms,
        "kernels": time.by_kind(),
    }
    if explain:
        document["launches"] = [dataclasses.asdict(one) for one in time.launches[:COSTLIEST]]
    return Outcome((*_headline(document), *_explained(gpu, time, rests_on)), document)


def _said(
    network: str, id: str | None, target: Target, found: Prediction, confidence: float
) -> dict[str, Any]:
    """What every prediction says."""
    ms = float(found.ms[0])
    return {
        "network": network,
        **({} if id is None else {"id": id}),
        "target": target.to_dict(),
        "latency_ms": ms,
        "low_ms": float(found.low_ms[0]),
        "high_ms": float(found.high_ms[0]),
        "confidence": confidence,
        "throughput_img_s": 1000.0 * target.images / ms,
    }


def _headline(document: dict[str, Any]) -> tuple[str]:
    ms, low, high = (format_ms(document[f]) for f in ("latency_ms", "low_ms", "high_ms"))
    name = document.get("id", document["network"])
    rate = document["throughput_img_s"]
    return (
        f"{name}: predicted {ms} ({low} to {high}, {document['confidence'] * 100:g} % interval), "
        f"{rate:,.0f} images/s",
    )


def _explained(gpu: GpuModel, time: NetworkTime, rests_on: str) -> list[str]:
    """What a person wants to know besides the prediction, aligned."""
    device, host = format_ms(time.device_ms), format_ms(time.host_ms)
    slower = "launching" if time.waits_for_host else "running"
    launches = sum(launch.count for launch in time.launches)
    facts = {
        "target": str(gpu.target),
        "rests on": rests_on,
        "takes": f"{device} to run {launches} kernels, {host} to launch them: {slower} decides",
        "memory": f"{format_mib(time.memory_mib)} of weights and activations",
    }
    gib = gpu.device.memory_gib
    if 0 < gib * 1024 < time.memory_mib:
        facts["memory"] += f", more than the {gib:g} GiB that the device has"
    if time.energy_mj is not None:
        joule = time.energy_mj / 1000
        facts["energy"] = f"{joule:.3g} J per batch at most, at the board's power limit"
    return [f"  {name:<9} {fact}" for name, fact in facts.items()]


def _of_timm(name: str, context: Context) -> _Network:
    from nas import timm_library as vision

    vision.check_name(name)
    side, channels, classes = context.settings.resolution, None, None
    if "data" in context.settings.model_fields_set:
        channels, classes = context.data.in_channels, context.data.num_classes
    module = vision.shapes_only(name, side, channels, classes)
    own_channels, height, width = vision.input_shape(module)
    return _Network(module, (channels or own_channels, side or height, side or width))


def _of_architecture(architecture: Architecture, context: Context) -> _Network:
    side = architecture.resolution
    if context.settings.resolution not in (None, side):
        raise SettingsError(
            f"Architecture {architecture.id} takes images of {side} px, not "
            f"{context.settings.resolution}: leave --resolution out. Another resolution makes it "
            "another architecture; it is a field of its file."
        )
    channels, classes = _IN_CHANNELS, _NUM_CLASSES
    if "data" in context.settings.model_fields_set:
        channels, classes = context.data.in_channels, context.data.num_classes
    module = build_network(architecture, channels, classes)
    return _Network(module, (channels, side, side), architecture.id)


def _member(network: str) -> _Member:
    from nas.export.description import ARCHITECTURE_FILE, read_architecture

    path = Path(network)
    if path.is_file() or (path / ARCHITECTURE_FILE).is_file():
        return _Member(read_architecture(path))
    if path.suffix in (".yaml", ".yml", ".json"):
        raise SpaceError(f"There is no architecture file '{path}'.")
    before, separator, id = network.rpartition(":" if ":" in network else "/")
    if not separator:
        raise RunError(
            f"There is no file '{network}'. Write timm:{network} for a model of timm, or RUN/ID "
            "for a member of a run's front (`nas ls` lists the runs)."
        )
    run = read_run(Path(before))
    if not (run.path / "front.json").exists():
        raise RunError(
            f"'{run.path}' has no front yet: its search has not finished, or found nothing. "
            f"Continue with: nas resume {run.path}"
        )
    front = {member.id: member for member in read_front(run.path / "front.json")}
    if id not in front:
        raise RunError(
            f"There is no '{id}' on the front of '{run.path}'. There are: {', '.join(front)}."
        )
    return _Member(front[id].architecture, run.settings)
