"""Predicts how long one network takes on a target, without running it: `nas predict`.

device                 network                         basis of the prediction
a GPU                  any                             its launches, corrected by networks that
                                                       `nas measure` timed on the same target
cpu, a board, a GPU    architecture of a space that    this measurement of the space
                       was measured there
cpu                    model of timm, published one    the times of its operations
"""

from __future__ import annotations

import dataclasses

import torch

from nas.commands.network import NamedArchitecture, architecture_named, network_of, stock_network
from nas.commands.predict_gpu import OnGpu, predict_on_gpu
from nas.commands.predicted import document_of, headline
from nas.errors import DataError, SettingsError, SpaceError
from nas.latency import predictor_for
from nas.latency.devices import check
from nas.latency.prediction import COVERAGE
from nas.latency.profiles.profile import Subject, profiles_of
from nas.progress import Progress
from nas.result import Outcome
from nas.run.context import Context
from nas.settings import Settings


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
        network: `timm:NAME`, `published:NAME`, an architecture file, RUN/ID or RUN:ID.
        settings: The target, the space and the data. A member of a run brings its space and data;
            for a GPU where its space was not measured it is predicted with three channels if the
            settings name no data, so that the run's images need not be there.
        confidence: Share of networks whose latency lies within the interval.
        explain: Whether the document lists the longest launches.
        measured: Another GPU, and the milliseconds measured there with the same runtime,
            precision, layout and batch. The prediction is this time multiplied by the predicted
            ratio of both GPUs.
        console: Shows the progress.

    Raises:
        UnknownNameError: timm has no such model.
        RunError: there is no such file or member.
        SpaceError: the file holds no architecture, or none of the space.
        SettingsError: the network cannot be predicted with these settings.
    """
    named, context = architecture_named(network), Context(settings)
    on_gpu = check(context.target.device).kind == "gpu"
    if on_gpu and (
        named is None or explain or measured is not None or not _was_measured(named, settings)
    ):
        if named is None:
            whole = stock_network(network, context)
        else:
            whole = network_of(named.architecture, context)
        return predict_on_gpu(OnGpu(network, whole, context.target, confidence, explain, measured))
    if not on_gpu:
        _refuse_gpu_options(context.target.device, explain, measured)
    if named is not None:
        return _from_profile(network, named, settings, confidence, console)
    return _from_operations(network, context, confidence, console)


def _refuse_gpu_options(device: str, explain: bool, measured: object) -> None:
    if measured is not None:
        raise SettingsError(
            f"--measured scales a time from one GPU to another, and {device} is not a GPU. Leave "
            "it out."
        )
    if explain:
        raise SettingsError(
            f"Predictions for {device} are sums of measured times, without kernels to explain. "
            "Leave out --explain, or name a GPU with --hardware."
        )


def _was_measured(named: NamedArchitecture, settings: Settings) -> bool:
    """Whether networks of the architecture's space were measured on this GPU."""
    context = Context(named.completed(settings))
    if not profiles_of(context.target.device):
        return False  # and the data need not be read
    try:
        images = context.data.shape
        context.space.encode(named.architecture)
    except (DataError, SpaceError):
        return False  # a run's images may be gone, and a file may be of another space
    return Subject(context.space, context.target, images).path.exists()


def _from_profile(
    network: str,
    named: NamedArchitecture,
    settings: Settings,
    confidence: float,
    console: Progress,
) -> Outcome:
    """The prediction of an architecture whose space was measured on the target."""
    context, architecture = Context(named.completed(settings)), named.architecture
    predictor = predictor_for(
        context.space,
        context.target,
        context.data.shape,
        confidence=confidence,
        progress=console,
    )
    found = predictor.predict(context.space.encode(architecture)[None])
    document = document_of(network, architecture.id, context.target, found, confidence)
    document |= {"basis": "measured", "rests_on": str(predictor)}
    return Outcome((headline(document), f"on {context.target}"), document)


def _from_operations(
    network: str, context: Context, confidence: float, console: Progress
) -> Outcome:
    """The prediction of a stock network on the processor at hand."""
    from nas.latency.operations.predictor import OperationsPredictor

    if context.target.device != "cpu":
        raise SettingsError(
            f"For {context.target.device} only architectures of a measured space can be predicted "
            f"(a file, RUN/ID), and '{network}' is none. Predict it for this machine or for a "
            "GPU: --hardware cpu, --hardware a100."
        )
    found = stock_network(network, context)
    found.module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    predictor = OperationsPredictor.of(context.target, progress=console)
    shape = (context.target.images, *found.shape)
    prediction = predictor.predict([found.module], [shape], confidence, progress=console)
    target = dataclasses.replace(context.target, resolution=found.side)
    document = document_of(network, None, target, prediction, confidence)
    document |= {"basis": "measured", "rests_on": str(predictor)}
    return Outcome((headline(document), f"on {target}"), document)
