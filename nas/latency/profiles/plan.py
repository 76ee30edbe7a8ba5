"""How much `nas measure` measures."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field

from nas.latency.profiles.held_out import WIDEST
from nas.latency.target import Target
from nas.latency.timing.machine import Effort


@dataclass(frozen=True)
class Plan:
    """How much is measured; the defaults take about two minutes on two cores."""

    times: int = 2
    """In how many networks each part is timed."""
    most_networks: int = 320
    """The most networks whose parts are timed; parts in none of them are estimated."""
    whole_networks: int = 40
    """How many networks are timed as a whole."""
    compiled_networks: int = 16
    """The same in runtime `compile`, which takes half a minute to build each."""
    widest: float | None = None
    """A 90 % interval of more than this factor to either side is refused; None: see `held_out`."""
    effort: Effort = field(default_factory=lambda: Effort(120.0, least=2, most=16))
    """For networks timed part by part, together with the whole ones."""
    whole_effort: Effort = field(default_factory=lambda: Effort(20.0, least=4, most=200))
    """Where only whole networks are timed, once they are built."""
    gpu_effort: Effort = field(default_factory=lambda: Effort(30.0, 6, 200, tight=0.003))
    """The same on a GPU."""

    def within(self, seconds: float) -> Plan:
        """The same plan with at most this time for the timed passes."""
        efforts = ("effort", "whole_effort", "gpu_effort")
        changes = {e: dataclasses.replace(getattr(self, e), seconds=seconds) for e in efforts}
        return dataclasses.replace(self, **changes)

    def widest_for(self, target: Target) -> float:
        """The factor beyond which an interval on a target is refused."""
        usual = math.inf if target.device == "cpu" else WIDEST
        return usual if self.widest is None else self.widest

    def networks_for(self, target: Target) -> int:
        """How many networks are timed as a whole in the target's runtime."""
        return self.compiled_networks if target.runtime == "compile" else self.whole_networks
