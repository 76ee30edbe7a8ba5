"""A GPU as measured: the shipped model's terms with what ten and more networks say of each.

    ms = sum over terms of  c f,    f as in `terms.py`, c fitted by `../fewshot.py`

One JSON file per device, target and space, as on a processor (`profile.py`); the same conditions
have to be in it. Networks that are not of the space are corrected by all that was measured under
the same target, whatever its space, in the terms that those networks spent their time in.
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
from nas.latency.profiles.profile import StoredProfile, profiles_of
from nas.latency.target import Target

Floats = NDArray[np.float64]
_ALIKE = 0.1 * np.array([1.0, 1.0, 1.0, 1.0, 0.0])
_EACH = np.array([0.1, 0.1, 0.1, 0.25, 0.3])
PRIOR = Prior(np.zeros(len(TERMS)), np.outer(_ALIKE, _ALIKE) + np.diag(_EACH**2))
"""The GPU's own terms may all be off alike, by about 10 %, and each by as much; what launching
takes by more, as with devices that the model was not fitted on. How fast the host is says nothing
of the GPU, so networks that wait for it leave the other terms as they are."""

TELLING = 0.1
"""Share of a network from which on it says something of a term."""


@dataclass(frozen=True)
class GpuProfile(StoredProfile):
    """A GPU: what it makes of each term of the model, and what each part takes by that.

    Its conditions also name the `model` that was corrected and, where it was measured here, the
    `clocks`; its networks have their `terms`, each traced as a whole.
    """

    coefficients: dict[str, float]
    """What the GPU makes of each of TERMS; 1 is the shipped model."""
    constant_ms: float
    parts_ms: tuple[float, ...]
    """Of each part of the space's index, corrected, without `host`."""
    parts_device_ms: tuple[float, ...]
    """The same as the model has it."""
    parts_host_ms: tuple[float, ...]
    """What launching each part takes, as the model has it."""


class MeasuredGpuPredictor(MeasuredPredictor[GpuProfile]):
    """Predicts whole populations of one space on one target; made by `predictor_for`."""

    @cached_property
    def _tables(self) -> list[Floats]:
        """What each part adds: corrected without `host`, on the device and on the host."""
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
            f"these {self._left_out}"
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
