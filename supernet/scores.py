"""The scores of an evaluation, and how far chance may have moved them; imports no torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

SURE = 0.9
"""Share of the cases in which a true accuracy lies within its interval."""
_HALF_WIDTH = 1.6448536269514722
"""Standard deviations to either side that hold `SURE` of a normal distribution."""


@dataclass(frozen=True)
class Evaluation:
    """Shares of right answers and the mean cross entropy over a set of images.

    Balanced accuracy is the mean of the accuracies within each class that is present. All three
    are NaN if the evaluation failed.
    """

    accuracy: float
    balanced_accuracy: float
    loss: float


def accuracy_interval(accuracy: float, images: int) -> tuple[float, float]:
    """The 90 % interval of an accuracy that was found on some images.

    Args:
        accuracy: Share of right answers, 0 ... 1.
        images: How many were answered, at least one.

    Method: Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953
    """
    from scipy.stats import binomtest  # takes a second to import

    right = round(accuracy * images)
    found = binomtest(right, images).proportion_ci(SURE, method="wilson")
    return float(found.low), float(found.high)


@dataclass(frozen=True)
class Difference:
    """How much more of the same images one network has right than another, as a share of them."""

    value: float
    low: float
    high: float
    """The 90 % interval."""


def difference(ours: Sequence[bool], theirs: Sequence[bool]) -> Difference:
    """The difference of two accuracies on the same images, with its interval.

    Only images that one of the two has right tell something, so the interval is narrower than
    that of two accuracies on different images.

    Args:
        ours: Which images the first network has right, (n,), at least one.
        theirs: The same for the second.

    Method: Agresti and Min 2005, https://doi.org/10.1002/sim.1781: Wald's interval for paired
    shares, with half an image added to each of the four counts.
    """
    pairs = list(zip(ours, theirs, strict=True))
    gained = sum(a and not b for a, b in pairs) + 0.5
    lost = sum(b and not a for a, b in pairs) + 0.5
    count = len(pairs) + 2
    middle = (gained - lost) / count
    half = _HALF_WIDTH * math.sqrt(gained + lost - (gained - lost) ** 2 / count) / count
    return Difference((gained - lost) / len(pairs), middle - half, middle + half)
