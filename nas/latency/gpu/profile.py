"""A GPU as measured: the shipped model's terms with what ten and more networks say of each.

    ms = sum over terms of  c f,    f as in `terms.py`, c fitted by `../fewshot.py`

One JSON file per device, target and space, as on a processor (`profile.py`); the same conditions
have to be in it. Networks that are not of the space are corrected by all that was measured under
the same target, whatever its space, in the terms that those networks spent their time in.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.errors import CheckpointError
from nas.latency.fewshot import FewShot, Prior, fit
from nas.latency.gpu.terms import waiting_ms
from nas.latency.gpu.times import TERMS
from nas.latency.prediction import COVERAGE, Prediction, widened
from nas.latency.profile import checksum, parts_hash, profiles_of, read_content, write_content
from nas.latency.target import Target
from search_spaces.space import SearchSpace

Floats = NDArray[np.float64]
_SHARED = np.array([1.0, 1.0, 1.0, 1.0, 0.0])
PRIOR = Prior(
    np.zeros(len(TERMS)),
    0.3**2 * (np.eye(len(TERMS)) + np.outer(_SHARED, _SHARED) + np.diag(1 - _SHARED)),
)
"""Every term within about 40 % of the model. The GPU's own may all be off alike; how fast the host
is says nothing of them, so networks that wait for it leave them as they are."""

TELLING = 0.1
"""Share of a network from which on it says something of a term."""


@dataclass(frozen=True)
class GpuProfile:
    """All that a predictor needs, as plain data."""

    conditions: dict[str, Any]
    """As of `profile.Profile`; also `model`, the id of the one that was corrected, and
    `clocks`."""
    coefficients: dict[str, float]
    """What the GPU makes of each of TERMS; 1 is the shipped model."""
    constant_ms: float
    parts_ms: tuple[float, ...]
    """Of each part of the space's index, corrected, without `host`."""
    parts_device_ms: tuple[float, ...]
    """The same as the model has it."""
    parts_host_ms: tuple[float, ...]
    """What launching each part takes, as the model has it."""
    log_half_width: float
    """The 90 % interval is a factor of exp(this) to either side."""
    held_out: dict[str, float]
    """How well networks are predicted that the coefficients were not fitted on."""
    networks: tuple[dict[str, Any], ...]
    """Those that were measured: code, ms, predicted_ms without it, spread, terms as a whole."""

    @cached_property
    def id(self) -> str:
        """Twelve hexadecimal digits of a hash of the contents."""
        return checksum(dataclasses.asdict(self))[:12]

    def save(self, path: Path) -> None:
        """Write the profile, whole or not at all."""
        write_content(path, dataclasses.asdict(self))

    @classmethod
    def load(cls, path: Path) -> GpuProfile:
        """Read what `save` wrote.

        Raises:
            CheckpointError: the file is damaged, was changed, lacks its conditions, or is of an
                earlier version.
        """
        content = read_content(path)
        try:
            return cls(
                conditions=content["conditions"],
                coefficients=content["coefficients"],
                constant_ms=content["constant_ms"],
                parts_ms=tuple(content["parts_ms"]),
                parts_device_ms=tuple(content["parts_device_ms"]),
                parts_host_ms=tuple(content["parts_host_ms"]),
                log_half_width=content["log_half_width"],
                held_out=content["held_out"],
                networks=tuple(content["networks"]),
            )
        except KeyError as error:
            raise CheckpointError(
                f"The latency profile '{path}' is of an earlier version: it has no {error}. "
                "Delete it, then measure again or import the times again."
            ) from None


class MeasuredGpuPredictor:
    """Predicts whole populations of one space on one target; made by `predictor_for`."""

    def __init__(
        self,
        space: SearchSpace,
        target: Target,
        profile: GpuProfile,
        in_channels: int = 3,
        num_classes: int = 10,
        confidence: float = COVERAGE,
    ) -> None:
        """Raises CheckpointError: the profile belongs to another space."""
        self.space, self.target, self.profile = space, target, profile
        self.confidence = confidence
        self.index = space.part_index(in_channels, num_classes)
        if profile.conditions["parts"] != parts_hash(self.index):
            raise CheckpointError(
                f"This latency profile is of the space '{profile.conditions['space']}' as it was "
                f"when measured; '{space.name}' has other parts. Measure it with `nas measure`."
            )
        self._tables = [
            np.array(table)
            for table in (profile.parts_ms, profile.parts_device_ms, profile.parts_host_ms)
        ]

    @property
    def id(self) -> str:
        """Of the profile: equal ids predict the same."""
        return self.profile.id

    @property
    def interval_factor(self) -> float:
        """The interval is this factor to either side."""
        return math.exp(widened(self.profile.log_half_width, self.confidence))

    def predict(self, codes: NDArray[np.integer]) -> Prediction:
        """Latency of each architecture on this predictor's target.

        Args:
            codes: Architectures of `self.space`, shape (n, genes).
        """
        ms, device, host = (self.index.sums(codes, table) for table in self._tables)
        waiting = self.profile.coefficients["host"] * waiting_ms(device, host)
        width = widened(self.profile.log_half_width, self.confidence)
        return Prediction.around(ms + waiting + self.profile.constant_ms, width)

    def __str__(self) -> str:
        """One sentence on what the predictions rest on."""
        held, conditions = self.profile.held_out, self.profile.conditions
        return (
            f"{self.target}: predicted from kernels, corrected by {len(self.profile.networks)} "
            f"networks measured on {conditions['device']['model']}, {conditions['date'][:10]}; "
            f"these left out one by one: mean error {held['mape']:.1%}, "
            f"{held['within_10_percent']:.0%} within 10 %, Spearman {held['spearman']:.3f}"
        )


def correction_of(target: Target, model: str) -> FewShot | None:
    """What was measured under a target, of any space; None where nothing was.

    Args:
        target: Its resolution does not matter.
        model: The id of the shipped model; corrections of another one do not count.

    Raises:
        CheckpointError: a profile is damaged.
    """
    wanted = dataclasses.replace(target, resolution=None).to_dict()
    found = [
        network
        for profile in map(GpuProfile.load, profiles_of(target.device))
        if {**profile.conditions["target"], "resolution": None} == wanted
        and profile.conditions["model"] == model
        for network in profile.networks
    ]
    if not found:
        return None
    terms, ms = (np.array([one[name] for one in found]) for name in ("terms", "ms"))
    fitted = fit(terms, ms, PRIOR)
    # Other networks may spend their time elsewhere: of what none spent any in, nothing is known.
    seen = (terms / terms.sum(axis=1, keepdims=True)).max(axis=0) >= TELLING
    return dataclasses.replace(fitted, coefficients=np.where(seen, fitted.coefficients, 1.0))
