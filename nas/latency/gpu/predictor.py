"""Predictions for GPUs: populations of a space, and any single network.

A network takes as long as its device or its host, whichever is slower (`times.py`); both are
sums over parts, so that a population's latencies are two gathers.

How far off a prediction may be depends on what is known; the half width of the interval is the
quantile of |log(measured / predicted)| over published networks that were left out in kind:

    known       the device was measured in this runtime: families of networks left out
    device      the runtime was measured, on other devices: devices left out
    runtime     neither: runtimes left out
    corrected   other networks were measured under the very target: as known, less what all
                networks of a device and runtime are off by alike

each for runtimes that launch kernels as they come and for those that fuse them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from importlib import resources
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from nas.errors import CheckpointError, RunError, StorageError
from nas.latency.cost import part_module, without_memory
from nas.latency.devices import Device, check
from nas.latency.gpu.formula import (
    RUNTIMES,
    Batch,
    device_numbers,
    host_slowness,
    launch_times,
    overlapped,
    way_of,
    whole_ms,
)
from nas.latency.gpu.launches import Launch, Launches, compiled_layout, launches_of
from nas.latency.gpu.model import Model, shipped
from nas.latency.identity import cache_name, parts_hash, short_id
from nas.latency.prediction import (
    COVERAGE,
    PopulationPredictor,
    Prediction,
    unknown_coverage,
)
from nas.latency.target import Target
from nas.latency.tracing.trace import Kernel, Layout, Precision, peak_activation_bytes, trace
from nas.storage import atomic_write, cache_dir, read_json
from search_spaces.network import build_network
from search_spaces.space import SearchSpace

Floats = NDArray[np.float64]
MIB = 2**20
JOINED = 12
"""Networks that say what a space's parts save by running one after the other."""


@dataclass(frozen=True)
class LaunchTime:
    """What one distinct launch of a network costs in all."""

    kind: str
    count: int
    ms: float
    bound: str
    """What it waits for: compute, memory or launches."""
    sizes: str


@dataclass(frozen=True)
class NetworkTime:
    """One network on a target; times in milliseconds per batch."""

    prediction: Prediction
    device_ms: float
    host_ms: float
    launches: tuple[LaunchTime, ...]
    """The costliest first."""
    memory_mib: float
    """Weights and the greatest sum of activations alive at once."""
    energy_mj: float | None
    """At most: the board's power limit for the whole time; None where it is not known."""

    @property
    def waits_for_host(self) -> bool:
        """Whether the host launches slower than the device computes."""
        return self.host_ms > self.device_ms

    def by_kind(self) -> dict[str, float]:
        """Milliseconds on the device by class of launch, the dearest first."""
        total: dict[str, float] = {}
        for launch in self.launches:
            total[launch.kind] = total.get(launch.kind, 0.0) + launch.ms
        return dict(sorted(total.items(), key=lambda item: -item[1]))

    def corrected(self, off: float, log_half_width: float) -> NetworkTime:
        """The same where the network takes `off` times as long, with its interval."""
        return replace(
            self,
            prediction=Prediction.around(self.prediction.ms * off, log_half_width),
            energy_mj=None if self.energy_mj is None else self.energy_mj * off,
        )


class GpuModel:
    """The fitted model on one target."""

    def __init__(self, target: Target, model: Model | None = None) -> None:
        self.target, self.model = target, model or shipped()
        self.device: Device = check(target.device)
        assert target.runtime is not None and target.precision is not None
        self.runtime, self.precision = target.runtime, target.precision
        self._numbers = device_numbers(self.device, self.precision)
        position = list(RUNTIMES).index(self.runtime)
        _, gap, host, fixed = self.model.parameters.runtimes[position].exp().tolist()
        slowness = host_slowness(self.model.parameters, torch.tensor([self._numbers]))
        self.gap_ms, self.host_ms, self.fixed_ms = gap, host * float(slowness), fixed
        self.factor = self.model.factor(self.device.name, self.runtime, self.precision)

    def kernels(self, module: nn.Module, shape: tuple[int, ...]) -> list[Kernel]:
        """What a module runs for an input of this shape in the target's precision and layout."""
        precision = "fp32" if self.precision == "tf32" else self.precision
        layout = self.target.layout or "channels_last"
        # Only names that a target accepts come here.
        traced: Precision = precision  # type: ignore[assignment]
        kept: Layout = layout  # type: ignore[assignment]
        kernels = trace(module, shape, precision=traced, layout=kept)
        compiles = RUNTIMES[self.runtime].fusion == "compile"
        if compiles and kept == "channels_first" and compiled_layout(kernels) != kept:
            return trace(module, shape, precision=traced, layout="channels_last")
        return kernels

    def launches(self, kernels: Sequence[Kernel]) -> list[Launch]:
        """What the target's runtime launches for them."""
        return launches_of(kernels, RUNTIMES[self.runtime].fusion)

    def times(self, launches: Launches) -> tuple[Floats, Floats, Floats]:
        """Of each distinct launch, once: ms in all without the gap, computing, moving memory."""
        if not launches.kinds:
            return np.zeros(0), np.zeros(0), np.zeros(0)
        batch = Batch.of([launches], [self._numbers], [self.runtime])
        with torch.no_grad():
            compute, memory = launch_times(self.model.parameters, batch)
            both = overlapped(self.model.parameters, compute, memory)
        ms, compute, memory = (t.double() * self.factor for t in (both, compute, memory))
        return ms.numpy(), compute.numpy(), memory.numpy()

    def sums(self, launches: Sequence[Sequence[Launch]]) -> tuple[Floats, Floats]:
        """Milliseconds on the device and on the host of several lists of launches, each (n,)."""
        flat = [launch for one in launches for launch in one]
        distinct = Launches.of(flat)
        ms = dict(zip(_keys(distinct), self.times(distinct)[0], strict=True))
        device = [sum(ms[launch] + self.gap_ms for launch in one) for one in launches]
        host = [len(one) * self.host_ms for one in launches]
        return np.array(device, dtype=np.float64), np.array(host, dtype=np.float64)

    def half_width(self, confidence: float = COVERAGE, basis: str | None = None) -> float:
        """Logarithm of the factor to either side that covers so many networks.

        Args:
            confidence: Share of networks.
            basis: What is known, see above; by default `self.basis`.

        Raises:
            SettingsError: the model does not say for so low or so high a share.
        """
        of_basis = self.model.half_widths[f"{basis or self.basis} {way_of(self.runtime)}"]
        widths = {float(level): width for level, width in of_basis.items()}
        levels = sorted(widths)
        if not levels[0] <= confidence <= levels[-1]:
            raise unknown_coverage(confidence, levels[0], levels[-1])
        return float(np.interp(confidence, levels, [widths[level] for level in levels]))

    @property
    def basis(self) -> str:
        """What a prediction here rests on: known, device or runtime."""
        return self.model.basis(self.device.name, self.runtime)

    @property
    def rests_on(self) -> str:
        """The same in words."""
        device, runtime = self.device.name, self.runtime
        return {
            "known": f"calibrated on public measurements of {device} in {runtime}",
            "device": f"not validated on {device}: {runtime} was measured on other devices",
            "runtime": f"not validated: {runtime} was measured on no device",
        }[self.basis]

    def network(
        self, module: nn.Module, shape: tuple[int, ...], confidence: float = COVERAGE
    ) -> NetworkTime:
        """Predict one network.

        Args:
            module: It takes one tensor.
            shape: Of its input, with the batch.
            confidence: Share of networks that the interval covers.
        """
        kernels = self.kernels(module, shape)
        found = self.launches(kernels)
        distinct = Launches.of(found)
        ms, compute, memory = self.times(distinct)
        device = float(((ms + self.gap_ms) * distinct.counts).sum())
        host = len(found) * self.host_ms
        total = whole_ms(np.array([device]), np.array([host]), self.fixed_ms)
        rows = [
            LaunchTime(
                launch.kind,
                int(count),
                float(count * (t + self.gap_ms)),
                _bound(c, m, self.gap_ms),
                _sizes(launch),
            )
            for launch, count, t, c, m in zip(
                _keys(distinct), distinct.counts, ms, compute, memory, strict=True
            )
        ]
        watts = self.device.power_w
        return NetworkTime(
            prediction=self.interval(total, confidence),
            device_ms=device,
            host_ms=host,
            launches=tuple(sorted(rows, key=lambda row: -row.ms)),
            memory_mib=(self._weights(module) + peak_activation_bytes(kernels)) / MIB,
            energy_mj=float(total[0]) * watts if watts else None,
        )

    def interval(self, ms: Floats, confidence: float = COVERAGE) -> Prediction:
        """Predictions with their interval."""
        return Prediction.around(ms, self.half_width(confidence))

    def _weights(self, module: nn.Module) -> int:
        size = 2 if self.precision in ("fp16", "bf16") else 4
        return size * sum(parameter.numel() for parameter in module.parameters())

    def __str__(self) -> str:
        """One sentence on what the predictions rest on."""
        factor = np.exp(self.half_width())
        return (
            f"{self.target}: predicted from kernels, {self.rests_on}; "
            f"90 % interval: a factor of {factor:.2f} to either side"
        )


class GpuPredictor(PopulationPredictor):
    """Predicts whole populations of one space on one target; made by `predictor_for`."""

    def __init__(
        self,
        space: SearchSpace,
        target: Target,
        in_channels: int = 3,
        num_classes: int = 10,
        model: Model | None = None,
        confidence: float = COVERAGE,
    ) -> None:
        """Raises SettingsError: the model does not say how wide so confident an interval is."""
        self.space, self.target, self.confidence = space, target, confidence
        self.gpu = GpuModel(target, model)
        self._log_half_width = self.gpu.half_width(confidence)
        self.index = space.part_index(in_channels, num_classes)
        self._in_channels, self._num_classes = in_channels, num_classes
        self._device, self._host = self._tables()

    @property
    def id(self) -> str:
        """Equal ids predict the same."""
        return short_id({**self._key, "confidence": self.confidence})

    def _ms(self, codes: NDArray[np.integer]) -> Floats:
        device = self.index.sums(codes, self._device)
        host = self.index.sums(codes, self._host)
        return whole_ms(device, host, self.gpu.fixed_ms)

    def __str__(self) -> str:
        """One sentence on what the predictions rest on."""
        return (
            f"{self.target}: predicted from kernels, {self.gpu.rests_on}; "
            f"{self.confidence * 100:g} % interval: a factor of {self.interval_factor:.2f} to "
            "either side"
        )

    @cached_property
    def _key(self) -> dict[str, Any]:
        """All that the tables follow from, but for the programs that make them."""
        parts = parts_hash(self.index)
        return {"model": self.gpu.model.id, "target": self.target.to_dict(), "parts": parts}

    def _tables(self) -> tuple[Floats, Floats]:
        """Milliseconds of each part on the device and on its host; kept in the cache."""
        key = cache_name({**self._key, "programs": _programs(), "torch": torch.__version__})
        path = cache_dir() / "latency" / f"{self.target.device}-parts-{key}.json"
        with contextlib.suppress(CheckpointError, KeyError, ValueError):  # then it is made anew
            kept = read_json(path)
            device, host = np.array(kept["device_ms"]), np.array(kept["host_ms"])
            if device.shape == host.shape == (len(self.index.parts),):
                return device, host
        device, host = self._traced()
        document = {**self._key, "device_ms": device.tolist(), "host_ms": host.tolist()}
        with contextlib.suppress(RunError, StorageError):  # then the next one traces again
            atomic_write(path, json.dumps(document) + "\n")
        return device, host

    def _traced(self) -> tuple[Floats, Floats]:
        parts = [part for part in self.index.parts if part is not None]
        device, host = self.gpu.sums(
            [
                self._launches(part_module(part), part.input_shape(self.target.images))
                for part in parts
            ]
        )
        device, host = np.concatenate([[0.0], device]), np.concatenate([[0.0], host])
        if RUNTIMES[self.gpu.runtime].fusion == "none":
            return device, host
        return self._joined(device, host)

    def _joined(self, device: Floats, host: Floats) -> tuple[Floats, Floats]:
        """Count what is saved where parts meet and their kernels run as one.

        By a factor, from a few whole networks: in `hybrid-tiny` and `hybrid-cifar`, compiled,
        sums of parts are then 1.5 % off (median), 5 % at most; without it 8 to 17 %.
        """
        codes = self.space.sample(JOINED, np.random.default_rng(0))
        whole = []
        for architecture in map(self.space.decode, codes):
            side = architecture.resolution
            with without_memory():
                network = build_network(architecture, self._in_channels, self._num_classes)
            shape = (self.target.images, self._in_channels, side, side)
            whole.append(self._launches(network, shape))
        whole_device, whole_host = self.gpu.sums(whole)
        return (
            device * np.median(whole_device / self.index.sums(codes, device)),
            host * np.median(whole_host / self.index.sums(codes, host)),
        )

    def _launches(self, module: nn.Module, shape: tuple[int, ...]) -> list[Launch]:
        return self.gpu.launches(self.gpu.kernels(module, shape))


@cache
def _programs() -> str:
    """A hash of the programs that decide which kernels a part launches."""
    digest = hashlib.sha256()
    for package in ("nas.latency", "search_spaces"):
        with resources.as_file(resources.files(package)) as folder:
            for path in sorted(folder.rglob("*.py")):
                digest.update(path.read_bytes())
    return digest.hexdigest()


def _keys(launches: Launches) -> list[Launch]:
    return [
        Launch(kind, *sizes)
        for kind, sizes in zip(launches.kinds, launches.sizes.tolist(), strict=True)
    ]


def _bound(compute: float, memory: float, gap: float) -> str:
    if gap > max(compute, memory):
        return "launches"
    return "compute" if compute > memory else "memory"


def _sizes(launch: Launch) -> str:
    if launch.m:
        groups = f"{launch.groups:.0f} x " if launch.groups > 1 else ""
        return f"{groups}({launch.m:.0f}, {launch.k:.0f}) by ({launch.k:.0f}, {launch.n:.0f})"
    moved = (launch.bytes_read + launch.bytes_written) / MIB
    return f"{moved:.2f} MiB moved"
