"""A measured GPU: the shipped model's terms, corrected by networks measured on that GPU.

    ms = sum over terms of  c f,    f as in `gpu/terms.py`, c fitted by `correction.py`

Networks outside the profile's space are corrected by everything that was measured under the same
target, whatever its space, in those terms that the measured networks spent their time in.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nas.latency.gpu.formula import TERMS
from nas.latency.gpu.terms import waiting_ms
from nas.latency.profiles.correction import FewShot, Prior, fit
from nas.latency.profiles.predictor import MeasuredPredictor
from nas.latency.profiles.profile import Profile, profiles_of
from nas.latency.target import Target

Floats = NDArray[np.float64]
_TOGETHER = 0.1 * np.array([1.0, 1.0, 1.0, 1.0, 0.0])
_EACH = np.array([0.1, 0.1, 0.1, 0.25, 0.3])
PRIOR = Prior(np.zeros(len(TERMS)), np.outer(_TOGETHER, _TOGETHER) + np.diag(_EACH**2))
"""How far off the model is on a device that it was not fitted on, in the logarithm: the GPU's own
terms together by about 10 %, and each by as much again; launches by more. The speed of the host
says nothing about the GPU, so networks that wait for it leave the other terms unchanged."""

LEAST_SHARE = 0.1
"""A measured network tells something about a term that takes at least this share of its time."""


@dataclass(frozen=True)
class GpuProfile(Profile):
    """A GPU: how it differs from the model in each term, and what each part takes by that.

    Its conditions also name the `model` that was corrected and, if it was measured here, the
    `clocks`. Each of its networks has `terms`, from a trace of the whole network.
    """

    coefficients: dict[str, float]
    """For each of TERMS, how many times as long as in the shipped model."""
    constant_ms: float
    parts_ms: tuple[float, ...]
    """Of each part of the space's index, corrected, without `host`."""
    parts_device_ms: tuple[float, ...]
    """The same without correction."""
    parts_host_ms: tuple[float, ...]
    """What launching each part takes the host, without correction."""


class MeasuredGpuPredictor(MeasuredPredictor[GpuProfile]):
    """Predicts whole populations of one space on one target; made by `predictor_for`."""

    @cached_property
    def _tables(self) -> list[Floats]:
        """What each part adds: corrected without `host`, on the device, and on the host."""
        found = self.profile
        tables = (found.parts_ms, found.parts_device_ms, found.parts_host_ms)
        return [np.array(table) for table in tables]

    def _ms(self, codes: NDArray[np.integer]) -> Floats:
        ms, device, host = (self.index.sums(codes, table) for table in self._tables)
        waiting = self.profile.coefficients["host"] * waiting_ms(device, host)
        return ms + waiting + self.profile.constant_ms

    def __str__(self) -> str:
        """One sentence on what the predictions rest on."""
        conditions = self.profile.conditions
        return (
            f"{self.target}: predicted from kernels, corrected by {len(self.profile.networks)} "
            f"networks measured on {conditions['device']['model']}, {conditions['date'][:10]}; "
            f"these {self._accuracy}"
        )


def correction_of(target: Target, model: str) -> FewShot | None:
    """The correction from everything that was measured under a target; None if nothing was.

    Args:
        target: Its resolution does not matter.
        model: The id of the `GpuModel`; corrections of another one do not count.

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
    # Other networks may spend their time in terms of which these networks tell nothing.
    seen = (terms / terms.sum(axis=1, keepdims=True)).max(axis=0) >= LEAST_SHARE
    return dataclasses.replace(fitted, coefficients=np.where(seen, fitted.coefficients, 1.0))
