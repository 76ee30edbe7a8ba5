"""Latency on the processor at hand: a measured table of parts and a few whole-network terms.

    ms = a + sum over parts p of (b t_p + c + d w_p),      a, b, c, d >= 0

    t_p   time of the part, measured inside networks of the space (`measure.py`)
    w_p   size of its weights
    a     what every network pays once;  b  what timing part by part gets wrong by a factor
    c     what a part costs beyond its own time;  d  what fetching its weights costs

The four terms are fitted on whole networks that were measured beside the parts. The 90 % interval
is split-conformal on |log(measured / predicted)|, each of those networks predicted by terms
fitted on the others (leave one out) and compared with its medians in four spans of time: the
interval holds for a later measurement on a machine that drifts as it did meanwhile.
All is linear in the parts, so predicting is one gather.

Paper: split conformal prediction, Lei et al. 2018, https://arxiv.org/abs/1604.04173
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from nas.errors import CheckpointError
from nas.latency.kernel_model import fit_relative
from nas.latency.profile import Profile, Terms, parts_hash
from nas.latency.target import Target
from search_spaces.space import SearchSpace

Floats = NDArray[np.float64]
COVERAGE = 0.9
BUSY = 0.25
"""Share of disturbed passes above which a profile says so."""


@dataclass(frozen=True)
class Prediction:
    """Milliseconds per batch and their 90 % interval, each (n,)."""

    ms: Floats
    low_ms: Floats
    high_ms: Floats


class CpuPredictor:
    """Predicts whole populations of one space on one target; made by `predictor_for`."""

    def __init__(
        self,
        space: SearchSpace,
        target: Target,
        profile: Profile,
        in_channels: int = 3,
        num_classes: int = 10,
    ) -> None:
        """Raises CheckpointError: the profile belongs to another space."""
        self.space, self.target, self.profile = space, target, profile
        self.index = space.part_index(in_channels, num_classes)
        if profile.conditions["parts"] != parts_hash(self.index):
            raise CheckpointError(
                f"This latency profile is of the space '{profile.conditions['space']}' as it was "
                f"when measured; '{space.name}' has other parts. Measure it with `nas measure`."
            )
        terms = profile.terms
        table = terms.factor * np.array(profile.parts_ms) + terms.per_part_ms
        table += terms.per_mib_ms * np.array(profile.parts_mib)
        table[0] = 0.0  # nothing stands there
        self._table = table

    @property
    def id(self) -> str:
        """Of the profile: equal ids predict the same."""
        return self.profile.id

    @property
    def interval_factor(self) -> float:
        """The 90 % interval is this factor to either side."""
        return math.exp(self.profile.log_half_width)

    def predict(self, codes: NDArray[np.integer]) -> Prediction:
        """Latency of each architecture on this predictor's target.

        Args:
            codes: Architectures of `self.space`, shape (n, genes).
        """
        ms = self.index.sums(codes, self._table) + self.profile.terms.constant_ms
        factor = self.interval_factor
        return Prediction(ms, ms / factor, ms * factor)

    def __str__(self) -> str:
        """One sentence on what the predictions rest on."""
        held, conditions = self.profile.held_out, self.profile.conditions
        busy = conditions["disturbed"] > BUSY
        guessed = sum(timed == 0 for timed in self.profile.parts_timed[1:])
        return (
            f"{self.target}: measured here on {conditions['device']['model']}, "
            f"{conditions['date'][:10]}; {held['networks']:.0f} networks left out one by one: "
            f"mean error {held['mape']:.1%}, {held['within_10_percent']:.0%} within 10 %, "
            f"Spearman {held['spearman']:.3f}; the machine's own repeat noise "
            f"{conditions['repeat_noise']:.1%}"
            + (f"; {guessed} parts guessed from their kernels" if guessed else "")
            + ("; the machine was busy meanwhile, measure again when it is quiet" if busy else "")
        )


def fit_terms(features: Floats, measured: Floats) -> Terms:
    """The four terms from networks' features (n, 4), see `network_features`, and their ms (n,)."""
    constant, factor, per_part, per_mib = fit_relative(features, measured)
    return Terms(float(constant), float(factor), float(per_part), float(per_mib))


def network_features(parts: NDArray[np.int64], parts_ms: Floats, parts_mib: Floats) -> Floats:
    """1, summed part times, number of parts and MiB of weights: (n, slots) -> (n, 4)."""
    present = (parts > 0).sum(axis=1)
    columns = (np.ones(len(parts)), parts_ms[parts].sum(axis=1), present)
    return np.stack([*columns, parts_mib[parts].sum(axis=1)], axis=1).astype(np.float64)


def apply_terms(terms: Terms, features: Floats) -> Floats:
    """What the terms make of features (n, 4)."""
    weights = (terms.constant_ms, terms.factor, terms.per_part_ms, terms.per_mib_ms)
    return np.asarray(features @ np.array(weights), dtype=np.float64)


def leave_one_out(features: Floats, measured: Floats) -> Floats:
    """Each network predicted by terms fitted on all others, (n,)."""
    others = [np.arange(len(measured)) != i for i in range(len(measured))]
    return np.array(
        [
            apply_terms(fit_terms(features[rest], measured[rest]), features[i : i + 1])[0]
            for i, rest in enumerate(others)
        ]
    )


def conformal_half_width(predicted: Floats, measured: Floats, coverage: float = COVERAGE) -> float:
    """The ceil((n + 1) coverage)-th smallest |log(measured / predicted)|; the largest at most."""
    scores = np.sort(np.abs(np.log(measured / predicted)), axis=None)
    rank = min(math.ceil((len(scores) + 1) * coverage), len(scores))
    return float(scores[rank - 1])


def agreement(predicted: Floats, measured: Floats) -> dict[str, float]:
    """How well predictions meet measurements."""
    error = np.abs(predicted / measured - 1.0)
    return {
        "networks": float(len(measured)),
        "mape": float(error.mean()),
        "within_10_percent": float((error <= 0.1).mean()),
        "spearman": float(spearmanr(predicted, measured).statistic),
    }
