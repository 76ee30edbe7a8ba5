"""How far the surrogates of a finished search could be trusted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nas.search.protocol import Cheap, Codes, CodeSpace, Floats
from nas.search.surrogates.acquisition import logarithms
from nas.search.surrogates.adaptive import FEWEST, cross_validate, mixed, rank_correlation
from nas.search.surrogates.features import Description
from nas.search.surrogates.kinds import kinds_of, processes_of

_DEVIATIONS = 1.645
"""A normal variable is within so many in nine of ten cases."""


@dataclass(frozen=True)
class SurrogateFit:
    """What one kind says of a third of the evaluations, fitted to the other two."""

    name: str
    spearman: float
    """Rank correlation of predicted with found errors."""
    covered: float
    """Share within the 90 % interval."""


def assess(
    space: CodeSpace, codes: Codes, errors: Floats, costs: Cheap | None = None
) -> tuple[SurrogateFit, ...]:
    """Each kind of surrogate and the mixture of all, by cross-validation.

    Args:
        space: What was searched.
        codes: What was evaluated, (n, genes).
        errors: What came of it, (n,); nothing is said of fewer than 24.
        costs: What a search under a budget sees beside the features; None without one.
    """
    if len(errors) < FEWEST:
        return ()
    rng = np.random.default_rng(0)
    targets, _ = logarithms(errors)
    seen = Description(space) if costs is None else Description(space, costs)
    kinds = kinds_of(seen.groups, rng) if costs is None else processes_of(seen.groups)
    found = cross_validate(kinds, seen(codes), targets, rng)
    predicted = {name: (unseen.mean, unseen.std) for name, unseen in found.items()}
    predicted["all together"] = mixed(list(predicted.values()))
    return tuple(_fit(name, mean, std, targets) for name, (mean, std) in predicted.items())


def _fit(name: str, mean: Floats, std: Floats, targets: Floats) -> SurrogateFit:
    covered = float((np.abs(targets - mean) <= _DEVIATIONS * std).mean())
    return SurrogateFit(name, rank_correlation(mean, targets), covered)
