"""The scores of an evaluation, and how far chance may have moved them; imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SURE = 0.9
"""Share of the cases in which a true accuracy lies within its interval."""


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

    Only images that one of the two alone has right tell which network is better. With `m` such
    images, of which the first network has `g`, the interval is that of the share g / m:

        difference = (2 g / m - 1) m / n

    It leaves out 0 if and only if McNemar's exact test finds the networks different, so a handful
    of images proves nothing. Where the two agree on every image it says how rare a disagreement
    has to be.

    Args:
        ours: Which images the first network has right, (n,), at least one.
        theirs: The same for the second.

    Method: McNemar 1947, https://doi.org/10.1007/BF02295996, with the interval of Clopper and
    Pearson 1934, https://doi.org/10.1093/biomet/26.4.404
    """
    from scipy.stats import binomtest

    pairs = list(zip(ours, theirs, strict=True))
    gained = sum(a and not b for a, b in pairs)
    apart = sum(a != b for a, b in pairs)
    if not apart:
        rare = float(binomtest(0, len(pairs)).proportion_ci(SURE).high)
        return Difference(0.0, -rare, rare)
    ends = binomtest(gained, apart).proportion_ci(SURE)
    value, low, high = (
        float(2 * share - 1) * apart / len(pairs)
        for share in (gained / apart, ends.low, ends.high)
    )
    return Difference(value, low, high)
