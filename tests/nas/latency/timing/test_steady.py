"""An unsteady machine is measured again; others only slow networks down."""

from __future__ import annotations

import numpy as np
import pytest

from nas.latency.timing.samples import Measurement
from nas.latency.timing.steady import TRIES, steadiest
from nas.progress import Silent


class Heard(Silent):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)


def _measured(noise: float, *ms: float) -> Measurement:
    """Networks that took e^noise times as long in the second half of the time."""
    quarters = np.array(ms)[:, None] * np.exp([0, 0, noise, noise])
    return Measurement(
        ms=np.array(ms),
        spread=np.full(len(ms), noise),
        quarters_ms=quarters,
        calm_quarters_ms=quarters,
        rounds=4,
        disturbed=0.0,
        drift=0.0,
    )


def test_a_steady_machine_is_measured_once() -> None:
    heard, all_of_them = Heard(), [_measured(0.1, 2.0)]
    assert steadiest(lambda: all_of_them.pop(), heard).ms.tolist() == [2.0]
    assert not heard.said


def test_an_unsteady_one_is_measured_again_and_the_fastest_time_counts() -> None:
    heard, tries = Heard(), [_measured(0.9, 3.0, 8.0), _measured(0.1, 2.0, 9.0)]
    found = steadiest(lambda: tries.pop(0), heard)
    assert found.ms.tolist() == [2.0, 8.0]
    assert found.repeat_noise == pytest.approx(0.1)
    assert heard.said == [
        "the machine is unsteady (repeat noise 90%): the networks are measured again"
    ]


def test_it_ends_on_a_machine_that_stays_unsteady() -> None:
    noises, heard = [0.9, 0.5, 0.7], Heard()
    found = steadiest(lambda: _measured(noises.pop(0), float("nan"), 4.0), heard)
    assert not noises and len(heard.said) == TRIES - 1
    assert found.fits.tolist() == [False, True]
    assert found.repeat_noise == pytest.approx(0.5)
