"""Measuring again while the machine is unsteady.

Other programs only slow a network down, so of several measurements each network's fastest counts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from nas.latency.timing.samples import Measurement
from nas.progress import Progress

UNSTEADY = 0.25
"""Repeat noise from which a measurement is made again."""
TRIES = 3
"""Measurements at most."""


def steadiest(measure: Callable[[], Measurement], progress: Progress) -> Measurement:
    """The steadiest of up to `TRIES` measurements, with the fastest time of each network.

    Args:
        measure: Measures the same networks each time.
        progress: Told when a measurement is made again.
    """
    found = [measure()]
    while found[-1].repeat_noise >= UNSTEADY and len(found) < TRIES:
        progress.say(
            f"the machine is unsteady (repeat noise {found[-1].repeat_noise:.0%}): the networks "
            "are measured again"
        )
        found.append(measure())
    best = min(found, key=lambda each: each.repeat_noise)
    return dataclasses.replace(best, ms=np.fmin.reduce([each.ms for each in found]))
