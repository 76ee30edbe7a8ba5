"""The GPU model as it is kept: its fitted numbers, and what they were fitted on.

One JSON file of named numbers (`model.json`), written by `scripts/fit_gpu_model.py` and read
without pickle. A file that was changed afterwards, or that does not say what it was fitted on,
does not load. `formula.py` says what the numbers mean.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nas.latency.gpu.formula import (
    COMMON,
    FAMILIES,
    HALF,
    PER_FAMILY,
    PER_KIND,
    PER_RUNTIME,
    RUNTIMES,
    Parameters,
    runtime_factor,
)
from nas.latency.gpu.launches import LAUNCH_KINDS
from nas.latency.identity import seal, short_id, unseal

SCHEMA = 2
CONDITIONS = ("rows", "devices", "runtimes", "torch", "timm", "seed", "date", "command")
"""What a model has to say about how it was fitted."""


@dataclass(frozen=True)
class Model:
    """The fitted model, and what it was fitted on."""

    parameters: Parameters
    devices: Mapping[str, Mapping[str, float]]
    """Logarithm of what launches take more on a measured device than predicted, by family."""
    half_widths: Mapping[str, Mapping[str, float]]
    """Half widths of intervals in the logarithm, by basis (see `predictor.py`) and coverage."""
    accuracy: Mapping[str, Mapping[str, float]]
    """How well each device's networks were predicted by a model fitted without that device."""
    conditions: Mapping[str, Any]
    """What it was fitted on: measured `runtimes`, and `devices` as "device runtime" pairs."""

    def factor(self, device: str, runtime: str, precision: str) -> float:
        """The factor on the time of launches: the runtime's, times that of a measured device."""
        own = self.devices.get(device, {}).get(RUNTIMES[runtime].family, 0.0)
        position = torch.tensor(list(RUNTIMES).index(runtime))
        full = torch.tensor(float(precision not in HALF))
        return math.exp(own + float(runtime_factor(self.parameters, position, full)))

    def basis(self, device: str, runtime: str) -> str:
        """The basis of a prediction: known, device or runtime; see `predictor.py`."""
        if runtime not in self.conditions["runtimes"]:
            return "runtime"
        return "known" if f"{device} {runtime}" in self.conditions["devices"] else "device"

    def content(self) -> dict[str, Any]:
        """Plain data with named numbers."""
        rounded = {
            "kinds": {
                kind: _named(PER_KIND, row.exp())
                for kind, row in zip(LAUNCH_KINDS, self.parameters.kinds, strict=True)
            },
            "common": _named(COMMON, self.parameters.common),
            "families": {
                name: _named(PER_FAMILY, row.exp())
                for name, row in zip(FAMILIES, self.parameters.factors, strict=True)
            },
            "runtimes": {
                name: _named(PER_RUNTIME, row.exp())
                for name, row in zip(RUNTIMES, self.parameters.runtimes, strict=True)
            },
        }
        return {
            **rounded,
            "devices": {name: dict(families) for name, families in self.devices.items()},
            "half_widths": dict(self.half_widths),
            "accuracy": {name: dict(values) for name, values in self.accuracy.items()},
            "conditions": dict(self.conditions),
        }

    def to_json(self) -> str:
        """A document that `from_json` reads."""
        return seal(self.content(), SCHEMA)

    @property
    def id(self) -> str:
        """Twelve hexadecimal digits of a hash of the contents."""
        return short_id(self.content())

    @classmethod
    def from_json(cls, text: str, name: str = "the GPU model") -> Model:
        """Read what `to_json` wrote.

        Raises:
            CheckpointError: the document is damaged, was changed, or lacks its conditions.
        """
        again = "Install nas again, or make the model with `scripts/fit_gpu_model.py`."
        content = unseal(text, SCHEMA, name, again, CONDITIONS)
        kinds = torch.tensor([[content["kinds"][k][p] for p in PER_KIND] for k in LAUNCH_KINDS])
        runtimes = [[content["runtimes"][r][p] for p in PER_RUNTIME] for r in RUNTIMES]
        factors = [[content["families"][f][p] for p in PER_FAMILY] for f in FAMILIES]
        parameters = Parameters(
            kinds=kinds.log(),
            common=torch.tensor([content["common"][name] for name in COMMON]),
            factors=torch.tensor(factors).log(),
            runtimes=torch.tensor(runtimes).log(),
        )
        return cls(
            parameters,
            content["devices"],
            content["half_widths"],
            content["accuracy"],
            content["conditions"],
        )


@cache
def shipped() -> Model:
    """The model that comes with nas."""
    file = resources.files("nas.latency.gpu") / "model.json"
    return Model.from_json(file.read_text(), f"The GPU model '{Path(str(file)).name}'")


def _named(names: Sequence[str], values: Tensor) -> dict[str, float]:
    """Numbers by name, to six digits."""
    return {
        name: float(f"{value:.6g}") if math.isfinite(value) else 0.0
        for name, value in zip(names, values.tolist(), strict=True)
    }
