"""Latency of any network on the processor at hand, from the operations that it consists of.

    ms = w sum over operations of t  +  c operations

    t     time of an operation among the others of its network (`kernel_times.py`)
    w     what following another operation changes
    c     what Python takes between two operations, in microseconds

Each operation is measured once; networks of known operations are predicted from the store. Both
terms are fitted on ten whole networks, measured beside their operations when a target
is first asked for; the 90 % interval is conformal on these, each left out of the fit in turn.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from nas.errors import NotFittedError, SettingsError
from nas.latency.operations.times import KernelTimes, Pace
from nas.latency.prediction import (
    COVERAGE,
    PROCESSOR_CHANGE,
    Prediction,
    agreement,
    another_day,
    conformal_half_width,
    widened,
)
from nas.latency.profiles.correction import Prior, fit
from nas.latency.target import Target
from nas.latency.timing.measure import Effort, measure_networks
from nas.latency.timing.samples import Measurement
from nas.latency.tracing.calls import Call, Shape, calls_of
from nas.progress import Progress, Silent

Floats = NDArray[np.float64]
TERMS = ("time", "operations")
EXPECTED = np.array([1.0, 0.5])
"""Of the terms before anything is measured."""
NETWORKS = (
    "resnet18",
    "resnet50",
    "regnety_004",
    "mobilenetv3_small_100",
    "efficientnet_b0",
    "convnext_atto",
    "vit_tiny_patch16_224",
    "mixer_s32_224",
)
"""Of timm; from all kinds of operation, 10 to 100 ms on two threads."""
SPACES = ("hybrid-tiny", "hybrid-cifar")
"""One network of each joins them: small ones, whose weights stay in the cache."""
EFFORT = Effort(12.0, least=4, most=12)
PACE = Pace(0.8)
"""Of each of them. Both together decide how long the first prediction takes on a machine."""
WIDEST = 2.0
"""An interval of more than this factor to either side is refused: nothing was learned."""


def predict_module(
    module: nn.Module,
    input_shape: Shape,
    target: Target,
    *,
    progress: Progress | None = None,
) -> Prediction:
    """Latency of any network in eager inference on the processor at hand.

    What is not known of its operations is measured, and kept for the next network.

    Args:
        module: Any module that takes one tensor; its weights may have shapes and no memory.
            They keep their layout: `module.to(memory_format=torch.channels_last)` is what
            convolutions run fastest with.
        input_shape: (B, C, H, W), or of any other input.
        target: The processor at hand, runtime eager.
        progress: Who is told.

    Raises:
        SettingsError: another runtime or device, or the module does not take such an input.
        NotFittedError: the machine was too busy for the figures to mean anything.
        CheckpointError: the stored times are damaged.
    """
    predictor = KernelPredictor.of(target, progress=progress)
    return predictor.predict([module], [input_shape], progress=progress)


class KernelPredictor:
    """Predicts networks on one target; made by `of`."""

    def __init__(self, target: Target, store: KernelTimes) -> None:
        self.target, self.store = target, store

    @classmethod
    def of(
        cls,
        target: Target,
        networks: Sequence[tuple[nn.Module, Shape]] | None = None,
        *,
        effort: Effort = EFFORT,
        progress: Progress | None = None,
    ) -> KernelPredictor:
        """The predictor of a target, fitted when it is first asked for.

        Args:
            target: The processor at hand, runtime eager.
            networks: What to fit on, with input shapes; if None, ten of timm and the spaces.
            effort: How long to measure these whole.
            progress: Who is told.

        Raises:
            SettingsError: another runtime or device.
            NotFittedError: the machine was too busy for the figures to mean anything.
            CheckpointError: the stored times are damaged.
        """
        if (target.device, target.runtime) != ("cpu", "eager"):
            raise SettingsError(
                f"Any network can be predicted from its operations on cpu in runtime eager, not "
                f"on {target.device} in runtime {target.runtime}, which fuses them. Choose "
                "--hardware cpu --runtime eager, or an architecture of a measured space."
            )
        progress = progress or Silent()
        predictor = cls(target, KernelTimes.of(target))
        if not predictor.store.fitted:
            progress.say(f"Measuring this machine once, for any network on {target}")
            predictor._fit(networks or reference_networks(target), effort, progress)
        return predictor

    def predict(
        self,
        modules: Sequence[nn.Module],
        input_shapes: Sequence[Shape],
        confidence: float = COVERAGE,
        *,
        progress: Progress | None = None,
    ) -> Prediction:
        """Latencies of networks, (n,); what is unknown of their operations is measured.

        Raises:
            SettingsError: a module does not take such an input, or how wide so confident an
                interval is, is not known.
        """
        half_width = widened(self.store.fitted["log_half_width"], confidence)
        calls = [calls_of(*pair) for pair in zip(modules, input_shapes, strict=True)]
        for some in calls:
            self.store.measure(some, progress or Silent())
        terms = self.store.fitted["terms"]
        ms = self._features(calls) @ np.array([terms[term] for term in TERMS])
        return Prediction.around(ms, half_width)

    def __str__(self) -> str:
        """One sentence on what the predictions rest on."""
        fitted = self.store.fitted
        held = fitted["held_out"]
        return (
            f"{len(self.store.ms)} operations measured here, fitted on "
            f"{held['networks']:.0f} whole networks on {fitted['date'][:10]}; these left out one "
            f"by one: mean error {held['mape']:.1%}, {held['within_10_percent']:.0%} within 10 %; "
            f"the machine's own repeat noise {fitted['repeat_noise']:.1%}"
        )

    def _fit(
        self, networks: Sequence[tuple[nn.Module, Shape]], effort: Effort, progress: Progress
    ) -> None:
        modules, shapes = [n[0] for n in networks], [n[1] for n in networks]
        calls = [calls_of(*network) for network in networks]
        for some in calls:
            self.store.measure(some, progress, PACE)
        whole = measure_networks(modules, shapes, self.target, effort=effort, progress=progress)
        features = self._features(calls)
        found = fit(features, whole.ms, Prior.around(EXPECTED))
        half_width = conformal_half_width(found.held_out_ms[:, None], whole.quarters_ms)
        if math.exp(half_width) > WIDEST:
            self.store.forget()
            raise NotFittedError(
                f"Measuring networks on {self.target} gave nothing to rely on: predictions would "
                f"be off by a factor of {math.exp(half_width):.2g}. The machine was busy: its "
                f"speed changed by {whole.drift:.0%} meanwhile, and {whole.disturbed:.0%} of the "
                "passes were interrupted. Close other programs and try again, or use fewer "
                "threads."
            )
        self.store.fitted = {
            "terms": dict(zip(TERMS, map(float, found.coefficients), strict=True)),
            "log_half_width": another_day(half_width, PROCESSOR_CHANGE),
            "held_out": agreement(found.held_out_ms, whole.ms),
            "networks_ms": whole.ms.tolist(),
            **_conditions(whole),
        }
        self.store.save()

    def _features(self, calls: Sequence[Sequence[Call]]) -> Floats:
        """What each of TERMS multiplies, in milliseconds, (networks, 2)."""
        rows = [
            (sum(self.store.ms[c.key] for c in some if c.launches), len(some) / 1000.0)
            for some in calls
        ]
        return np.array(rows, dtype=np.float64)


def reference_networks(target: Target) -> list[tuple[nn.Module, Shape]]:
    """The networks that terms are fitted on, with random weights."""
    from nas import timm_library as vision  # takes seconds to import
    from search_spaces import build_network, load_space

    found: list[tuple[nn.Module, Shape]] = []
    for name in NETWORKS:
        module = vision.create_model(name).eval()
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        found.append((module, (target.images, *vision.input_shape(module))))
    for name in SPACES:
        space = load_space(name)
        architecture = space.decode(space.sample(1, np.random.default_rng(0))[0])
        side = architecture.resolution
        found.append((build_network(architecture).eval(), (target.images, 3, side, side)))
    return found


def _conditions(whole: Measurement) -> dict[str, Any]:
    now = datetime.datetime.now(datetime.UTC)
    return {
        "rounds": whole.rounds,
        "repeat_noise": whole.repeat_noise,
        "disturbed": whole.disturbed,
        "drift": whole.drift,
        "date": now.isoformat(timespec="seconds"),
    }
