"""The predicted time of one network, and the launches that it consists of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nas.latency.gpu.launches import Launch
from nas.latency.prediction import Prediction

Floats = NDArray[np.float64]
MIB = 2**20


@dataclass(frozen=True)
class LaunchTime:
    """All runs of one distinct launch of a network."""

    kind: str
    count: int
    ms: float
    bound: str
    """What limits it: compute, memory or launches."""
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
    """An upper bound: the board's power limit for the whole time; None where it is not known."""
    unknown: tuple[str, ...]
    """Functions that the tracer does not know, which count as copies."""

    @property
    def waits_for_host(self) -> bool:
        """Whether the host needs longer to launch than the device to compute."""
        return self.host_ms > self.device_ms

    def by_kind(self) -> dict[str, float]:
        """Milliseconds on the device by class of launch, the costliest first."""
        total: dict[str, float] = {}
        for launch in self.launches:
            total[launch.kind] = total.get(launch.kind, 0.0) + launch.ms
        return dict(sorted(total.items(), key=lambda item: -item[1]))

    def corrected(self, off: float, log_half_width: float) -> NetworkTime:
        """The same network if it takes `off` times as long, with another interval."""
        return replace(
            self,
            prediction=Prediction.around(self.prediction.ms * off, log_half_width),
            device_ms=self.device_ms * off,
            host_ms=self.host_ms * off,
            launches=tuple(replace(one, ms=one.ms * off) for one in self.launches),
            energy_mj=None if self.energy_mj is None else self.energy_mj * off,
        )


def times_by_launch(
    counts: Mapping[Launch, int], ms: Floats, compute: Floats, memory: Floats, gap_ms: float
) -> tuple[LaunchTime, ...]:
    """Times of distinct launches, the costliest first.

    Args:
        ms: Milliseconds of one run of each without its gap, (n,).
    """
    rows = [
        LaunchTime(launch.kind, n, float(n * (t + gap_ms)), _bound(c, m, gap_ms), _sizes(launch))
        for (launch, n), t, c, m in zip(counts.items(), ms, compute, memory, strict=True)
    ]
    return tuple(sorted(rows, key=lambda row: -row.ms))


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
