"""Latency of any network on the processor at hand, from the operations that it consists of.

    ms = w sum over operations of t  +  c operations

    t     milliseconds of an operation among the others of its network (`times.py`)
    w     how following another operation changes that
    c     what Python takes between two operations, in microseconds

Each operation is measured once; a network of known operations is predicted from the stored times.
Both terms are fitted to ten whole networks, which are measured together with their operations the
first time that a target is asked for. The 90 % interval is conformal on these networks, each
predicted by a fit to the others.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from nas.errors import NotFittedError, SettingsError
from nas.latency.operations.timer import Pace, Timer, time_calls
from nas.latency.operations.times import OperationTimes
from nas.latency.prediction import COVERAGE, PROCESSOR_CHANGE, Prediction, widened
from nas.latency.profiles.correction import Prior, fit
from nas.latency.profiles.held_out import busy, judge
from nas.latency.target import Target
from nas.latency.timing.machine import Effort, Machine
from nas.latency.timing.measure import measure_networks
from nas.latency.tracing.calls import Call, Shape, calls_of
from nas.progress import Progress, Silent

Floats = NDArray[np.float64]
Network = tuple[nn.Module, Shape]
TERMS = ("time", "operations")
EXPECTED = np.array([1.0, 0.5])
"""The terms before anything is measured."""
NETWORKS = (
    *("resnet18", "resnet50", "regnety_004", "mobilenetv3_small_100"),
    *("efficientnet_b0", "convnext_atto", "vit_tiny_patch16_224", "mixer_s32_224"),
)
"""Models of timm with all kinds of operation, 10 to 100 ms on two threads."""
SPACES = ("hybrid-tiny", "hybrid-cifar")
"""One network of each is added: small ones, whose weights stay in the cache."""
EFFORT = Effort(12.0, least=4, most=12)
"""For all of them as whole networks."""
PACE = Pace(0.8)
"""For the operations of each of them. Together with EFFORT it decides how long the first
prediction on a machine takes."""


def predict_module(
    module: nn.Module,
    input_shape: Shape,
    target: Target,
    *,
    progress: Progress | None = None,
) -> Prediction:
    """Latency of any network in eager inference on the processor at hand.

    Operations whose times are not known yet are measured and kept for the next network.

    Args:
        module: Any module that takes one tensor; its weights may be meta tensors. They keep their
            layout: convolutions are fastest after
            `module.to(memory_format=torch.channels_last)`.
        input_shape: (B, C, H, W), or the shape of another kind of input.
        target: The processor at hand, runtime eager.

    Raises:
        SettingsError: another runtime or device, or the module does not take such an input.
        NotFittedError: the machine was too busy to learn anything.
        CheckpointError: the stored times are damaged.
    """
    predictor = OperationsPredictor.of(target, progress=progress)
    return predictor.predict([module], [input_shape], progress=progress)


class OperationsPredictor:
    """Predicts networks on one target; made by `of`."""

    def __init__(self, target: Target, store: OperationTimes) -> None:
        self.target, self.store = target, store

    @classmethod
    def of(
        cls,
        target: Target,
        networks: Sequence[Network] | None = None,
        *,
        effort: Effort = EFFORT,
        widest: float = math.inf,
        timer: Timer = time_calls,
        machine: Machine | None = None,
        progress: Progress | None = None,
    ) -> OperationsPredictor:
        """The predictor of a target, which is fitted the first time that it is asked for.

        Args:
            networks: To fit to, with input shapes; by default ten of timm and the spaces.

        Raises:
            SettingsError: another runtime or device.
            NotFittedError: the machine was too busy to learn anything.
            CheckpointError: the stored times are damaged.
        """
        if (target.device, target.runtime) != ("cpu", "eager"):
            raise SettingsError(
                f"Any network can be predicted from its operations on cpu in runtime eager, not "
                f"on {target.device} in runtime {target.runtime}, which fuses them. Choose "
                "--hardware cpu --runtime eager, or an architecture of a measured space."
            )
        progress = progress or Silent()
        predictor = cls(target, OperationTimes.of(target, timer))
        if predictor.store.fitted:
            return predictor
        with predictor.store.measuring(progress):
            if not predictor.store.fitted:  # another process may have fitted it meanwhile
                progress.say(f"Measuring this machine once, for any network on {target}")
                networks = networks or reference_networks(target)
                predictor._fit(networks, effort, widest, machine, progress)
        return predictor

    def predict(
        self,
        modules: Sequence[nn.Module],
        input_shapes: Sequence[Shape],
        confidence: float = COVERAGE,
        *,
        progress: Progress | None = None,
    ) -> Prediction:
        """Latencies of networks, (n,); operations without a known time are measured.

        Raises:
            SettingsError: a module does not take such an input, or this confidence is not
                supported.
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
            f"{len(self.store.ms)} operations measured here, fitted to "
            f"{held['networks']:.0f} whole networks on {fitted['date'][:10]}; these left out one "
            f"by one: mean error {held['mape']:.1%}, {held['within_10_percent']:.0%} within 10 %; "
            f"the machine's own repeat noise {fitted['repeat_noise']:.1%}"
        )

    def _fit(
        self,
        networks: Sequence[Network],
        effort: Effort,
        widest: float,
        machine: Machine | None,
        progress: Progress,
    ) -> None:
        modules, shapes = [n[0] for n in networks], [n[1] for n in networks]
        calls = [calls_of(*network) for network in networks]
        for some in calls:
            self.store.add(some, progress, PACE)
        whole = measure_networks(
            modules, shapes, self.target, effort=effort, progress=progress, machine=machine
        )
        found = fit(self._features(calls), whole.ms, Prior.around(EXPECTED))
        try:
            held_out = judge(
                found.held_out_ms,
                whole.ms,
                whole.quarters_ms,
                calm=whole.calm_quarters_ms,
                change=PROCESSOR_CHANGE,
                widest=widest,
                what=f"Measuring networks on {self.target}",
                why=busy(whole),
            )
        except NotFittedError:
            self.store.forget()
            raise
        self.store.fitted = {
            "terms": dict(zip(TERMS, map(float, found.coefficients), strict=True)),
            "log_half_width": held_out.log_half_width,
            "held_out": held_out.figures,
            "networks_ms": whole.ms.tolist(),
            **whole.figures(),
            "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        }
        self.store.save()

    def _features(self, calls: Sequence[Sequence[Call]]) -> Floats:
        """What TERMS multiply, in milliseconds, (networks, 2)."""
        rows = [
            (sum(self.store.ms[c.key] for c in some if c.launches), len(some) / 1000.0)
            for some in calls
        ]
        return np.array(rows, dtype=np.float64)


def reference_networks(target: Target) -> list[Network]:
    """The networks that the terms are fitted to, with random weights."""
    from nas import timm_library as vision  # takes seconds to import
    from search_spaces import build_network, load_space

    found: list[Network] = []
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
