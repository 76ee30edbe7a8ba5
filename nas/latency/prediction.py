"""What a predictor says: milliseconds, never without their interval.

Intervals are split-conformal on |log(measured / predicted)|: Lei et al. 2018,
https://arxiv.org/abs/1604.04173
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from statistics import NormalDist
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nas.errors import SettingsError
from nas.latency.target import Target
from search_spaces.part_index import PartIndex
from search_spaces.space import SearchSpace

Floats = NDArray[np.float64]
COVERAGE = 0.9
COVERAGES = 0.5, 0.98
"""The least and the most that an interval can be asked to cover."""
PROCESSOR_CHANGE = 0.14
"""Logarithm of how far a processor's speed is from what it was while it was measured, about
nine times of ten: thirteen of the fifteen runs of results/latency/README.md."""
GPU_CHANGE = 0.07
"""The same of a GPU: more than nine of ten networks of timm, measured on an RTX 4090 again with a
newer PyTorch (`measured again` in results/latency/gpu-accuracy.md)."""


@dataclass(frozen=True)
class Prediction:
    """Milliseconds per batch and their interval, each (n,)."""

    ms: Floats
    low_ms: Floats
    high_ms: Floats

    @classmethod
    def around(cls, ms: Floats, log_half_width: float) -> Prediction:
        """The interval is a factor of exp(`log_half_width`) to either side."""
        factor = math.exp(log_half_width)
        return cls(ms, ms / factor, ms * factor)


class Predictor(Protocol):
    """Predicts whole populations of one space on one target."""

    space: SearchSpace
    target: Target
    index: PartIndex
    confidence: float
    """Share of networks that the interval covers."""

    @property
    def id(self) -> str:
        """Equal ids predict the same."""

    def predict(self, codes: NDArray[np.integer]) -> Prediction:
        """Latency of each architecture, codes (n, genes)."""


class PopulationPredictor(ABC):
    """A `Predictor` whose interval is the same factor for all networks."""

    _log_half_width: float

    @property
    def interval_factor(self) -> float:
        """The interval is this factor to either side."""
        return math.exp(self._log_half_width)

    def predict(self, codes: NDArray[np.integer]) -> Prediction:
        """Latency of each architecture on this predictor's target.

        Args:
            codes: Architectures of `self.space`, shape (n, genes).
        """
        return Prediction.around(self._ms(codes), self._log_half_width)

    @abstractmethod
    def _ms(self, codes: NDArray[np.integer]) -> Floats:
        """Milliseconds of each architecture, (n,)."""


def conformal_half_width(predicted: Floats, measured: Floats, coverage: float = COVERAGE) -> float:
    """The ceil((n + 1) coverage)-th smallest |log(measured / predicted)|; the largest at most."""
    scores = np.sort(np.abs(np.log(measured / predicted)), axis=None)
    rank = min(math.ceil((len(scores) + 1) * coverage), len(scores))
    return float(scores[rank - 1])


def another_day(log_half_width: float, change: float) -> float:
    """A half width found in one sitting, for times measured in another one.

    Args:
        log_half_width: Of the interval within the sitting.
        change: How far the machine's speed is off by then, in the logarithm.
    """
    return math.hypot(log_half_width, change)


def widened(log_half_width: float, confidence: float) -> float:
    """A half width of coverage `COVERAGE`, for another coverage.

    The ratio of normal quantiles: errors in the logarithm are taken for normal, for few networks
    say little about the tails.

    Raises:
        SettingsError: the coverage is further from `COVERAGE` than that can be said.
    """
    least, most = COVERAGES
    if not least <= confidence <= most:
        raise unknown_coverage(confidence, least, most)

    def quantile(coverage: float) -> float:
        return NormalDist().inv_cdf((1 + coverage) / 2)

    return log_half_width * quantile(confidence) / quantile(COVERAGE)


def unknown_coverage(confidence: float, least: float, most: float) -> SettingsError:
    """Intervals of another coverage were asked for than are known."""
    return SettingsError(
        f"How wide an interval of confidence {confidence:g} is, is not known; "
        f"choose one from {least:g} to {most:g}."
    )


def agreement(predicted: Floats, measured: Floats) -> dict[str, float]:
    """How well predictions meet measurements."""
    from scipy.stats import spearmanr  # takes half a second to import

    error = np.abs(predicted / measured - 1.0)
    return {
        "networks": float(len(measured)),
        "mape": float(error.mean()),
        "median": float(np.median(error)),
        "within_10_percent": float((error <= 0.1).mean()),
        "spearman": float(spearmanr(predicted, measured).statistic),
    }
