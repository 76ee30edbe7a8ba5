"""Latency of a network as the sum of its parts and a few terms of the whole network.

    ms = a + sum over parts p of (b t_p + c + d w_p),      a, b, c, d >= 0

    t_p   milliseconds of the part, measured inside networks of the space
    w_p   MiB of its weights
    a     what every network takes once;  b  by which factor timing part by part is wrong
    c     what a part takes beyond its own time;  d  what fetching its weights takes

`calibrate_parts.py` measures the parts and fits the four terms to whole networks. Where parts
cannot be timed, `whole_networks.py` estimates t_p, and b = 1, c = d = 0. All is linear in the
parts, so predicting a population is one gather.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from nas.latency.profiles.predictor import MeasuredPredictor
from nas.latency.profiles.profile import Profile

Floats = NDArray[np.float64]
BUSY = 0.25
"""A profile warns if more than this share of the passes was interrupted."""


@dataclass(frozen=True)
class Terms:
    """Terms of the whole network, none negative; a, b, c, d above."""

    constant_ms: float
    factor: float
    per_part_ms: float
    per_mib_ms: float


@dataclass(frozen=True)
class PartsProfile(Profile):
    """A processor or board: what each part takes, and what a network takes beyond its parts."""

    parts_ms: tuple[float, ...]
    """Each part of the space's index, timed inside networks or estimated."""
    parts_mib: tuple[float, ...]
    """Size of each part's weights."""
    parts_timed: tuple[int, ...]
    """In how many networks each part was timed; 0 if it is estimated from its operations."""
    terms: Terms

    @classmethod
    def _of(cls, content: dict[str, Any]) -> Self:
        terms = content["terms"]
        known = Terms(**{field.name: terms[field.name] for field in fields(Terms)})
        return super()._of({**content, "terms": known})


class PartsPredictor(MeasuredPredictor[PartsProfile]):
    """Predicts whole populations of one space on one target; made by `predictor_for`."""

    @cached_property
    def _table(self) -> Floats:
        """What each part adds, (parts,)."""
        profile, terms = self.profile, self.profile.terms
        table = terms.factor * np.array(profile.parts_ms) + terms.per_part_ms
        table += terms.per_mib_ms * np.array(profile.parts_mib)
        table[0] = 0.0  # the empty part
        return table

    def _ms(self, codes: NDArray[np.integer]) -> Floats:
        return self.index.sums(codes, self._table) + self.profile.terms.constant_ms

    def __str__(self) -> str:
        """One sentence on what the predictions rest on."""
        held, conditions = self.profile.held_out, self.profile.conditions
        timed = [times > 0 for times in self.profile.parts_timed[1:]]
        here = "here " if self.target.device == "cpu" else ""
        said = (
            f"{self.target}: measured {here}on {conditions['device']['model']}, "
            f"{conditions['date'][:10]}; {held['networks']:.0f} networks {self._accuracy}"
        )
        if conditions["repeat_noise"] is not None:
            said += f"; the machine's own repeat noise {conditions['repeat_noise']:.1%}"
        if not any(timed):
            said += f"; from {len(self.profile.networks)} whole networks and their operations"
        elif not all(timed):
            said += f"; {timed.count(False)} parts estimated from their operations"
        if (conditions["disturbed"] or 0.0) > BUSY:
            said += (
                "; the machine was busy meanwhile, so the intervals are wide (a factor of "
                f"{self.interval_factor:.2g} to either side): `nas measure` when it is quiet "
                "makes them narrower"
            )
        return said
