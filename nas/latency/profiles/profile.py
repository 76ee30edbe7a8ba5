"""Profiles: what was measured on a device, under which conditions, and how well it predicts.

One sealed JSON file per machine, target and space in the cache (`nas/latency/identity.py`). Kinds
of profiles: `parts.PartsProfile` of processors and boards, `gpu.GpuProfile`.
"""

from __future__ import annotations

import dataclasses
import datetime
import math
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from nas.environment import version
from nas.errors import CheckpointError
from nas.latency.devices import fingerprint
from nas.latency.identity import cache_name, parts_hash, read_sealed, seal, short_id
from nas.latency.target import Target
from nas.latency.timing.job import Job
from nas.latency.timing.machine import Effort
from nas.latency.timing.samples import Measurement
from nas.storage import atomic_write, cache_dir
from search_spaces.data_shape import DataShape
from search_spaces.deployment import deployed
from search_spaces.network import Network, build_network
from search_spaces.part_index import PartIndex
from search_spaces.space import Codes, SearchSpace

Floats = NDArray[np.float64]
SCHEMA = 1
FEWEST = 5
"""Networks that a profile needs at least."""
CONDITIONS = (
    *("target", "device", "torch", "space", "parts", "in_channels", "num_classes"),
    *("rounds", "repeat_noise", "disturbed", "drift", "date"),
)
"""What every profile says about how it was made."""


@dataclass(frozen=True)
class Profile:
    """What all kinds of profiles have in common, as plain data, and their file."""

    conditions: dict[str, Any]
    log_half_width: float
    """The 90 % interval is a factor of exp(this) to either side."""
    held_out: dict[str, float]
    """How well networks are predicted that were left out of the fit."""
    networks: tuple[dict[str, Any], ...]
    """The whole networks that were measured: code, ms, predicted_ms without it, spread."""

    @cached_property
    def id(self) -> str:
        """Twelve hexadecimal digits of a hash of the contents."""
        return short_id(dataclasses.asdict(self))

    def save(self, path: Path) -> None:
        """Write the profile, whole or not at all."""
        atomic_write(path, seal(dataclasses.asdict(self), SCHEMA))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            CheckpointError: the file is damaged, was changed, lacks its conditions, or comes from
                an earlier version.
        """
        name = f"The latency profile '{path}'"
        again = f"Delete '{path}', then measure again (`nas measure`) or import the times again."
        content = read_sealed(path, SCHEMA, name, again, CONDITIONS)
        try:
            return cls._of(content)
        except KeyError as error:
            raise CheckpointError(
                f"{name} is of an earlier version: it has no {error}. {again}"
            ) from None

    @classmethod
    def _of(cls, content: dict[str, Any]) -> Self:
        found: dict[str, Any] = {f.name: content[f.name] for f in dataclasses.fields(cls)}
        lists = {name: tuple(value) for name, value in found.items() if isinstance(value, list)}
        return cls(**{**found, **lists})


@dataclass(frozen=True)
class MeasuredNetworks:
    """Networks of a space and what they took."""

    codes: Codes
    """(n, genes)."""
    ms: Floats
    """(n,)."""
    repeats_ms: Floats
    """Further medians of each network, from which the interval is made, (n, m)."""
    spread: Floats
    """Distance between the quartiles over the median, (n,); NaN where it is not known."""
    calm_ms: Floats | None = None
    """`repeats_ms` corrected for slowdowns by other programs, where these are known."""

    @classmethod
    def of(cls, codes: Codes, found: Measurement) -> MeasuredNetworks:
        """Those networks that fitted into the memory."""
        held = found.fits
        return cls(
            codes[held],
            found.ms[held],
            found.quarters_ms[held],
            found.spread[held],
            found.calm_quarters_ms[held],
        )

    def records(self, predicted: Floats) -> tuple[dict[str, Any], ...]:
        """The networks as a profile keeps them, with what a fit without each predicts, (n,)."""
        rows = zip(self.codes, self.ms, predicted, self.spread, strict=True)
        return tuple(
            {
                "code": [int(gene) for gene in code],
                "ms": float(ms),
                "predicted_ms": float(without),
                "spread": None if math.isnan(spread) else float(spread),
            }
            for code, ms, without, spread in rows
        )


@dataclass(frozen=True)
class Subject:
    """What a profile is of: networks of a space on a target, for images of so many channels."""

    space: SearchSpace
    target: Target
    data_shape: DataShape = DataShape()

    @cached_property
    def index(self) -> PartIndex:
        """The parts of the space."""
        return self.space.part_index(self.data_shape)

    def build(self, code: Codes) -> Network:
        """The network of a code, (genes,)."""
        architecture = self.space.decode(code)
        return build_network(deployed(architecture), self.data_shape)

    def job(self, codes: Codes, effort: Effort, by_part: int = 0) -> Job:
        """The job of measuring networks, (n, genes), the first `by_part` of them by part."""
        architectures = tuple(self.space.decode(code) for code in codes)
        return Job(architectures, self.target, self.data_shape, effort, by_part=by_part)

    def conditions(
        self, device: dict[str, Any], measured: Measurement | None = None
    ) -> dict[str, Any]:
        """What a profile says about how it was made; without times, only medians are known."""
        unknown = dict.fromkeys(("rounds", "repeat_noise", "disturbed", "drift"))
        return {
            **self._identity,
            "device": device,
            "torch": version("torch"),
            "space": self.space.name,
            **(measured.figures() if measured else unknown),
            "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        }

    @property
    def path(self) -> Path:
        """Where its profile is cached; for `cpu`, that of this machine."""
        key = {"schema": SCHEMA, **self._identity}
        if self.target.device == "cpu":
            key |= {"device": fingerprint(), "torch": version("torch")}
            if self.target.runtime == "onnxruntime":
                key |= {"onnxruntime": version("onnxruntime")}
        return cache_dir() / "latency" / f"{self.target.device}-{cache_name(key)}.json"

    @property
    def _identity(self) -> dict[str, Any]:
        return {
            "target": self.target.to_dict(),
            "parts": parts_hash(self.index),
            "in_channels": self.data_shape.channels,
            "num_classes": self.data_shape.classes,
        }


def profiles_of(device: str) -> list[Path]:
    """All cached profiles of a device, whatever their space and conditions."""
    name = re.compile(rf"{re.escape(device)}-[0-9a-f]{{16}}")
    kept = (cache_dir() / "latency").glob(f"{device}-*.json")
    return [path for path in kept if name.fullmatch(path.stem)]
