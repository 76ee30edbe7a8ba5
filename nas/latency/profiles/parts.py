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

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nas.latency.profiles.least_squares import fit_relative
from nas.latency.profiles.predictor import MeasuredPredictor
from nas.latency.profiles.profile import Profile, Terms

Floats = NDArray[np.float64]
BUSY = 0.25
"""Share of disturbed passes above which a profile says so."""


class CpuPredictor(MeasuredPredictor[Profile]):
    """Predicts whole populations of one space on one target; made by `predictor_for`."""

    @cached_property
    def _table(self) -> Floats:
        """What each part adds, (parts,)."""
        profile, terms = self.profile, self.profile.terms
        table = terms.factor * np.array(profile.parts_ms) + terms.per_part_ms
        table += terms.per_mib_ms * np.array(profile.parts_mib)
        table[0] = 0.0  # nothing stands there
        return table

    def _ms(self, codes: NDArray[np.integer]) -> Floats:
        return self.index.sums(codes, self._table) + self.profile.terms.constant_ms

    def __str__(self) -> str:
        """One sentence on what the predictions rest on."""
        held, conditions = self.profile.held_out, self.profile.conditions
        timed = [times > 0 for times in self.profile.parts_timed[1:]]
        here = "here " if self.target.device == "cpu" else ""
        said = (
            f"{self.target}: measured {here}on {conditions['device']['model']}, "
            f"{conditions['date'][:10]}; {held['networks']:.0f} networks {self._left_out}"
        )
        if conditions["repeat_noise"] is not None:
            said += f"; the machine's own repeat noise {conditions['repeat_noise']:.1%}"
        if not any(timed):
            said += f"; from {len(self.profile.networks)} whole networks and the kernels in them"
        elif not all(timed):
            said += f"; {timed.count(False)} parts guessed from their kernels"
        if (conditions["disturbed"] or 0.0) > BUSY:
            said += "; the machine was busy meanwhile, measure again when it is quiet"
        return said


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
