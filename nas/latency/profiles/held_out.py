"""How good a fit is, judged by networks that it has not seen.

Each measured network is predicted by a fit to all others. These predictions give

    the 90 % interval    split-conformal on |log(measured / predicted)|, widened by how much the
                         device's speed changes from one session to another
    figures of merit     mean error, rank correlation and the like, which every profile shows

A fit with too wide an interval is refused: the measurement says nothing. Not so on the processor
at hand, which other programs often keep busy: a wide interval is of use there, because finalists
are measured again.

Paper: split conformal prediction, Lei et al. 2018, https://arxiv.org/abs/1604.04173
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nas.errors import NotFittedError
from nas.latency.prediction import agreement, another_day, conformal_half_width
from nas.latency.timing.samples import Measurement

Floats = NDArray[np.float64]
WIDEST = 2.0
"""A 90 % interval of more than this factor to either side is refused."""
WRONG_TIMES = (
    "Either another program slowed the device down, or the times belong to other networks. "
    "Measure again."
)


class HeldOut(NamedTuple):
    """What the networks say that were left out of the fit."""

    log_half_width: float
    """The 90 % interval is a factor of exp(this) to either side."""
    figures: dict[str, float]


def leave_one_out(
    features: Floats, measured: Floats, fit: Callable[[Floats, Floats], Floats]
) -> Floats:
    """Each network predicted by a fit to all others, (n,).

    Args:
        features: (n, f).
        measured: (n,).
        fit: Weights (f,) from features and measured values.
    """
    everyone = np.arange(len(measured))
    return np.array(
        [features[i] @ fit(features[everyone != i], measured[everyone != i]) for i in everyone]
    )


def judge(
    predicted: Floats,
    measured: Floats,
    repeats: Floats,
    *,
    calm: Floats | None = None,
    change: float,
    widest: float,
    what: str,
    why: str,
) -> HeldOut:
    """The interval and the figures of merit of a fit.

    Args:
        predicted: Milliseconds of each network, from fits without it, (n,).
        measured: Milliseconds of each network, (n,).
        repeats: Further measurements of each network, for the interval, (n, m).
        calm: The same measurements corrected for slowdowns by other programs, (n, m). Where those
            slow the machine down so much that `repeats` say nothing, the interval is for the
            machine's calm moments, and not below `WIDEST`.
        change: Of the device's speed between two sessions, see `another_day`.
        widest: A 90 % interval of more than this factor to either side is refused.
        what: Of which measurement an error speaks.
        why: What an error gives as the reason and as the remedy.

    Raises:
        NotFittedError: the interval is too wide.
    """
    half_width = conformal_half_width(predicted[:, None], repeats)
    if calm is not None and math.exp(half_width) > WIDEST:
        in_calm_moments = conformal_half_width(predicted[:, None], calm)
        half_width = min(half_width, max(math.log(WIDEST), in_calm_moments))
    if math.exp(half_width) > widest:
        raise NotFittedError(
            f"{what} gave nothing to rely on: predictions would be off by a factor of "
            f"{math.exp(half_width):.2g}. {why}"
        )
    return HeldOut(another_day(half_width, change), agreement(predicted, measured))


def busy(measured: Measurement) -> str:
    """The reason and the remedy where the machine itself was measured."""
    return (
        f"The machine was busy: its speed changed by {measured.drift:.0%} meanwhile, and "
        f"{measured.disturbed:.0%} of the passes were interrupted. Close other programs and try "
        "again, or use fewer threads."
    )
