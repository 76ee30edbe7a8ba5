"""Predictions for GPUs: populations of a space, and any single network.

A network takes as long as its device or its host, whichever is slower (`formula.py`). Both are
sums over parts, so that the latencies of a population are two gathers.

How far off a prediction may be depends on what is known. The half width of the interval is the
quantile of |log(measured / predicted)| over published networks of which some kind was left out of
the fit:

    known       families of networks: the device was measured in this runtime
    device      devices: the runtime was measured, but on other devices
    runtime     runtimes: the runtime was measured on no device
    corrected   as known, without what all networks of a device and runtime are off by in common:
                networks were measured on the very target

each for runtimes that launch operations as they come and for those that fuse them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from nas.latency import part_work
from nas.latency.devices import Device, check
from nas.latency.gpu.formula import (
    RUNTIMES,
    Batch,
    device_numbers,
    host_slowness,
    launch_times,
    overlapped,
    total_ms,
    way_of,
)
from nas.latency.gpu.fusion import launches_of, relaid
from nas.latency.gpu.launches import Launch, rows_of
from nas.latency.gpu.model import Model, shipped
from nas.latency.gpu.network_time import MIB, NetworkTime, times_by_launch
from nas.latency.identity import parts_hash, short_id
from nas.latency.part_work import Conditions, Piece, WholeNetwork
from nas.latency.prediction import (
    COVERAGE,
    PopulationPredictor,
    Prediction,
    unknown_coverage,
)
from nas.latency.target import Target
from nas.latency.tracing.operations import (
    Layout,
    Operation,
    Precision,
    peak_activation_bytes,
    unknown,
)
from nas.latency.tracing.trace import trace
from search_spaces.data_shape import DataShape
from search_spaces.space import SearchSpace

Floats = NDArray[np.float64]
JOINED = 12
"""Whole networks that are traced to see what parts save where they meet."""


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

    @property
    def id(self) -> str:
        """Twelve hexadecimal digits of the fitted model and the device's numbers."""
        return short_id([self.model.id, list(self._numbers)])

    @property
    def conditions(self) -> Conditions:
        """Batch, precision and layout, as far as they decide what is launched."""
        same = {"tf32": "fp32", "bf16": "fp16"}
        precision = cast(Precision, same.get(self.precision, self.precision))
        layout = cast(Layout, self.target.layout)  # a target checks both
        return Conditions(self.target.images, precision, layout)

    def operations(self, module: nn.Module, shape: tuple[int, ...]) -> list[Operation]:
        """What a module runs for an input of this shape in the target's precision and layout."""
        precision, layout = self.conditions.precision, self.conditions.layout
        found = trace(module, shape, precision=precision, layout=layout)
        if RUNTIMES[self.runtime].fusion == "compile" and relaid(found, layout):
            return trace(module, shape, precision=precision, layout="channels_last")
        return found

    def launches(self, operations: Sequence[Operation]) -> list[Launch]:
        """What the target's runtime launches for them."""
        return launches_of(operations, RUNTIMES[self.runtime].fusion)

    def launches_of_pieces(self, pieces: Sequence[Piece]) -> list[Floats]:
        """The same for parts and networks of a space, as rows of kind and sizes."""
        return part_work.launches(pieces, RUNTIMES[self.runtime].fusion, self.conditions)

    def times(self, launches: Floats) -> tuple[Floats, Floats, Floats]:
        """Milliseconds of each launch without its gap, computing and moving memory, each (n,).

        Args:
            launches: Kind and sizes of each, see `rows_of`, (n, 9).
        """
        distinct, which = _distinct(launches)
        batch = Batch(
            torch.from_numpy(distinct[:, 0].astype(np.int64)),
            torch.from_numpy(distinct[:, 1:]).float(),
            torch.ones(len(distinct)),
            torch.zeros(len(distinct), dtype=torch.int64),
            torch.tensor([self._numbers]),
            torch.tensor([list(RUNTIMES).index(self.runtime)]),
        )
        with torch.no_grad():
            compute, memory = launch_times(self.model.parameters, batch)
            both = overlapped(self.model.parameters, compute, memory)
        ms, compute, memory = (t.double() * self.factor for t in (both, compute, memory))
        return ms.numpy()[which], compute.numpy()[which], memory.numpy()[which]

    def sums(self, launches: Sequence[Floats]) -> tuple[Floats, Floats]:
        """Milliseconds on the device and on the host of several lists of launches, each (n,)."""
        owner = np.repeat(np.arange(len(launches)), list(map(len, launches)))
        rows = np.concatenate([np.zeros((0, 9)), *launches])
        ms, *_ = self.times(rows)
        device = np.asarray(np.bincount(owner, ms + self.gap_ms, len(launches)), np.float64)
        host = np.array([len(one) for one in launches], dtype=np.float64) * self.host_ms
        return device, host

    def half_width(self, confidence: float = COVERAGE, basis: str | None = None) -> float:
        """Half width, in the logarithm, of the interval that covers this share of networks.

        Args:
            basis: What the prediction rests on, see above; by default `self.basis`.

        Raises:
            SettingsError: the confidence is not supported.
        """
        of_basis = self.model.half_widths[f"{basis or self.basis} {way_of(self.runtime)}"]
        widths = {float(level): width for level, width in of_basis.items()}
        levels = sorted(widths)
        if not levels[0] <= confidence <= levels[-1]:
            raise unknown_coverage(confidence, levels[0], levels[-1])
        return float(np.interp(confidence, levels, [widths[level] for level in levels]))

    @property
    def basis(self) -> str:
        """What predictions rest on: known, device or runtime."""
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
            shape: Shape of the input, with the batch.
        """
        operations = self.operations(module, shape)
        found = self.launches(operations)
        counts = Counter(found)
        times = self.times(rows_of(list(counts)))
        device = float(((times[0] + self.gap_ms) * np.array(list(counts.values()))).sum())
        host = len(found) * self.host_ms
        total = total_ms(np.array([device]), np.array([host]), self.fixed_ms)
        watts = self.device.power_w
        return NetworkTime(
            prediction=self.interval(total, confidence),
            device_ms=device,
            host_ms=host,
            launches=times_by_launch(counts, *times, self.gap_ms),
            memory_mib=(self._weights(module) + peak_activation_bytes(operations)) / MIB,
            unknown=unknown(operations),
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
        data_shape: DataShape = DataShape(),
        model: Model | None = None,
        confidence: float = COVERAGE,
    ) -> None:
        """Raises SettingsError: the confidence is not supported."""
        self.space, self.target, self.confidence = space, target, confidence
        self.gpu = GpuModel(target, model)
        self._log_half_width = self.gpu.half_width(confidence)
        self.index = space.part_index(data_shape)
        self._data_shape = data_shape
        self._device, self._host = self._tables()

    @property
    def id(self) -> str:
        """Predictors with equal ids predict the same."""
        return short_id({**self._key, "confidence": self.confidence})

    def _ms(self, codes: NDArray[np.integer]) -> Floats:
        device = self.index.sums(codes, self._device)
        host = self.index.sums(codes, self._host)
        return total_ms(device, host, self.gpu.fixed_ms)

    def __str__(self) -> str:
        """One sentence on what the predictions rest on."""
        return (
            f"{self.target}: predicted from kernels, {self.gpu.rests_on}; "
            f"{self.confidence * 100:g} % interval: a factor of {self.interval_factor:.2f} to "
            "either side"
        )

    @cached_property
    def _key(self) -> dict[str, object]:
        """All that predictions follow from, except the programs."""
        return {
            "model": self.gpu.model.id,
            "device": dict(self.gpu.device.numbers),
            "target": self.target.to_dict(),
            "parts": parts_hash(self.index),
        }

    def _tables(self) -> tuple[Floats, Floats]:
        """Milliseconds of each part on the device and on its host, each (parts,)."""
        parts = [part for part in self.index.parts if part is not None]
        device, host = self.gpu.sums(self.gpu.launches_of_pieces(parts))
        device, host = np.concatenate([[0.0], device]), np.concatenate([[0.0], host])
        if RUNTIMES[self.gpu.runtime].fusion == "none":
            return device, host
        return self._joined(device, host)

    def _joined(self, device: Floats, host: Floats) -> tuple[Floats, Floats]:
        """Take off what parts save where they meet and their operations are fused.

        By one factor, from a few whole networks: in `hybrid-tiny` and `hybrid-cifar`, compiled,
        sums of parts are then off by 1.5 % (median) and 5 % at most; without it by 8 to 17 %.
        """
        codes = self.space.sample(JOINED, np.random.default_rng(0))
        networks = [
            WholeNetwork(architecture, self._data_shape)
            for architecture in map(self.space.decode, codes)
        ]
        whole_device, whole_host = self.gpu.sums(self.gpu.launches_of_pieces(networks))
        return (
            device * np.median(whole_device / self.index.sums(codes, device)),
            host * np.median(whole_host / self.index.sums(codes, host)),
        )


def _distinct(launches: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """The distinct rows in the order in which they first come, and which of them each row is."""
    numbers: dict[bytes, int] = {}
    which = [numbers.setdefault(row.tobytes(), len(numbers)) for row in launches]
    distinct = np.frombuffer(b"".join(numbers), dtype=np.float64).reshape(-1, launches.shape[1])
    return distinct.copy(), np.array(which, dtype=np.int64)
