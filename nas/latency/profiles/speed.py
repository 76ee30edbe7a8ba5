"""Whether the processor at hand is as fast as when its latencies were measured.

Predictions from a cached profile are those of the machine as it was then. They are not scaled to
its speed of today: equal runs find equal fronts. A person is told instead, who can measure again.
"""

from __future__ import annotations

import datetime

import numpy as np

from nas.latency.prediction import Predictor
from nas.latency.profiles.parts import CpuPredictor
from nas.latency.timing.measure import Effort, measure_finalists
from nas.progress import Progress

FRESH = datetime.timedelta(hours=1)
"""A profile as young as this is taken to hold."""
ANCHORS = 3
"""Networks of a profile that are measured again."""
EQUAL_SPEED = 0.1
"""Up to this share the machine counts as fast as it was."""


def tell_speed(predictor: Predictor, progress: Progress) -> None:
    """Tell a person where the processor is not as fast as in a profile that is not fresh.

    Takes two seconds; nothing where the predictor rests on no profile of this processor.
    """
    if not isinstance(predictor, CpuPredictor) or predictor.target.device != "cpu":
        return
    measured = datetime.datetime.fromisoformat(predictor.profile.conditions["date"])
    if datetime.datetime.now(datetime.UTC) - measured <= FRESH:
        return
    note = speed_note(speed_now(predictor, progress))
    if note is not None:
        progress.say(note)


def speed_now(predictor: CpuPredictor, progress: Progress | None = None) -> float:
    """How long networks take now, over what they took when the profile was measured.

    Args:
        predictor: Of the processor at hand.
        progress: Who is told.

    Returns:
        1.2 where the machine is a fifth slower now: the median of a few of the profile's own
        networks, measured again in two seconds (after preparing them, which takes some more in
        runtimes other than eager).
    """
    conditions = predictor.profile.conditions
    known = sorted(predictor.profile.networks, key=lambda network: float(network["ms"]))
    anchors = [known[(2 * i + 1) * len(known) // (2 * ANCHORS)] for i in range(ANCHORS)]
    measured = measure_finalists(
        [predictor.space.decode(np.array(anchor["code"])) for anchor in anchors],
        predictor.target,
        conditions["in_channels"],
        conditions["num_classes"],
        effort=Effort(2.0, least=5, most=100),
        progress=progress,
    )
    return float(np.median(measured.ms / np.array([anchor["ms"] for anchor in anchors])))


def speed_note(speed: float) -> str | None:
    """What to tell a person whose machine is not as fast as it was; see `speed_now`."""
    if abs(np.log(speed)) <= np.log1p(EQUAL_SPEED):
        return None
    slower = "slower" if speed > 1 else "faster"
    return (
        f"This machine is {slower} now than when its latencies were measured: networks take "
        f"{speed:.2f} times as long as then, and predictions do not know it. Close other "
        "programs, or measure it as it is with `nas measure`."
    )
