"""Whether the processor is still as fast as when its profile was measured.

Predictions of a cached profile are for the speed that was measured then. They are not scaled to
today's speed, so that equal runs find equal fronts. Instead the user gets a message and can
measure again.
"""

from __future__ import annotations

import datetime

import numpy as np

from nas.latency.prediction import Predictor
from nas.latency.profiles.parts import PartsPredictor
from nas.latency.timing.machine import Effort, Machine
from nas.latency.timing.measure import measure_finalists
from nas.progress import Progress
from search_spaces.data_shape import DataShape

FRESH = datetime.timedelta(hours=1)
"""A profile younger than this is trusted without a check."""
ANCHORS = 3
"""Networks of a profile that are measured again."""
EQUAL_SPEED = 0.1
"""A change of speed below this share is not worth a message."""
EFFORT = Effort(2.0, least=5, most=100)


def tell_speed(predictor: Predictor, progress: Progress, machine: Machine | None = None) -> None:
    """Tell the user if the processor's speed has changed since an older profile was measured.

    Takes two seconds. Does nothing for a predictor without a profile of this processor.
    """
    if not isinstance(predictor, PartsPredictor) or predictor.target.device != "cpu":
        return
    measured = datetime.datetime.fromisoformat(predictor.profile.conditions["date"])
    if datetime.datetime.now(datetime.UTC) - measured <= FRESH:
        return
    note = speed_note(speed_now(predictor, progress, machine))
    if note is not None:
        progress.say(note)


def speed_now(
    predictor: PartsPredictor,
    progress: Progress | None = None,
    machine: Machine | None = None,
) -> float:
    """How long networks take now, divided by how long they took for the profile.

    Measures a few of the profile's own networks again. In runtimes other than eager they have to
    be built first, which takes longer than measuring.

    Returns:
        The median over the networks: 1.2 if the machine is now a fifth slower.
    """
    conditions = predictor.profile.conditions
    known = sorted(predictor.profile.networks, key=lambda network: float(network["ms"]))
    anchors = [known[(2 * i + 1) * len(known) // (2 * ANCHORS)] for i in range(ANCHORS)]
    measured = measure_finalists(
        [predictor.space.decode(np.array(anchor["code"])) for anchor in anchors],
        predictor.target,
        DataShape(conditions["in_channels"], conditions["num_classes"]),
        effort=EFFORT,
        progress=progress,
        machine=machine,
    )
    return float(np.median(measured.ms / np.array([anchor["ms"] for anchor in anchors])))


def speed_note(speed: float) -> str | None:
    """The message for a change of speed, see `speed_now`; None for a small one."""
    if abs(np.log(speed)) <= np.log1p(EQUAL_SPEED):
        return None
    slower = "slower" if speed > 1 else "faster"
    return (
        f"This machine is {slower} now than when its latencies were measured: networks take "
        f"{speed:.2f} times as long as then, which predictions do not take into account. Close "
        "other programs, or measure the machine again with `nas measure`."
    )
