"""Predictions: milliseconds, always with an interval.

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
"""The least and the greatest coverage that an interval can have."""
PROCESSOR_CHANGE = 0.14
"""90th percentile, about, of |log speed change| of a processor between two sessions: thirteen of
the fifteen runs in results/latency/README.md changed less."""
GPU_CHANGE = 0.07
"""The same for a GPU: of timm's networks, measured twice on an RTX 4090, the second time with a
newer PyTorch, more than nine in ten changed less (`measured again` in
results/latency/gpu-accuracy.md)."""


@dataclass(frozen=True)
class Prediction:
    """Milliseconds per batch and their interval, each (n,)."""

    ms: Floats
    low_ms: Floats
    high_ms: Floats

    @classmethod
    def around(cls, ms: Floats, log_half_width: float) -> Prediction:
        """An interval that extends by a factor of exp(`log_half_width`) to either side."""
        factor = math.exp(log_half_width)
        return cls(ms, ms / factor, ms * factor)


class Predictor(Protocol):
    """Predicts whole populations of one space on one target."""

    space: SearchSpace
    target: Target
    index: PartIndex
    confidence: float
    """Share of networks whose latency is inside the interval."""

    @property
    def id(self) -> str:
        """Predictors with equal ids predict the same."""

    def predict(self, codes: NDArray[np.integer]) -> Prediction:
        """Latency of each architecture, codes (n, genes)."""


class PopulationPredictor(ABC):
    """A `Predictor` whose interval is the same factor for all networks."""

    _log_half_width: float

    @property
    def interval_factor(self) -> float:
        """The factor by which the interval extends to either side."""
        return math.exp(self._log_half_width)

    def predict(self, codes: NDArray[np.integer]) -> Prediction:
        """Latency of each architecture on this predictor's target."""
        return Prediction.around(self._ms(codes), self._log_half_width)

    @abstractmethod
    def _ms(self, codes: NDArray[np.integer]) -> Floats:
        """Milliseconds of each architecture, (n,)."""


def conformal_half_width(predicted: Floats, measured: Floats) -> float:
    """The ceil((n + 1) COVERAGE)-th smallest |log(measured / predicted)|, or else the largest."""
    scores = np.sort(np.abs(np.log(measured / predicted)), axis=None)
    rank = min(math.ceil((len(scores) + 1) * COVERAGE), len(scores))
    return float(scores[rank - 1])


def another_day(log_half_width: float, change: float) -> float:
    """The half width for times that are measured in a later session.

    Args:
        change: |log speed change| of the machine between sessions.
    """
    return math.hypot(log_half_width, change)


def widened(log_half_width: float, confidence: float) -> float:
    """The half width for another coverage, from one for `COVERAGE`.

    Errors in the logarithm are assumed to be normal, because few networks say little about the
    tails.

    Raises:
        SettingsError: the coverage is not supported.
    """
    least, most = COVERAGES
    if not least <= confidence <= most:
        raise unknown_coverage(confidence, least, most)

    def quantile(coverage: float) -> float:
        return NormalDist().inv_cdf((1 + coverage) / 2)

    return log_half_width * quantile(confidence) / quantile(COVERAGE)


def unknown_coverage(confidence: float, least: float, most: float) -> SettingsError:
    """The error for a confidence that is not supported."""
    return SettingsError(
        f"Confidence {confidence:g} is not supported; choose {least:g} to {most:g}."
    )


def agreement(predicted: Floats, measured: Floats) -> dict[str, float]:
    """How well predictions agree with measurements."""
    from scipy.stats import spearmanr  # its import takes half a second

    error = np.abs(predicted / measured - 1.0)
    return {
        "networks": float(len(measured)),
        "mape": float(error.mean()),
        "median": float(np.median(error)),
        "within_10_percent": float((error <= 0.1).mean()),
        "spearman": float(spearmanr(predicted, measured).statistic),
    }
