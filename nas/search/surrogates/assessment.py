"""How well the surrogates of a finished search predicted, for its report."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nas.search.protocol import Codes, CodeSpace, Floats, KnownObjectives
from nas.search.surrogates.acquisition import logarithms
from nas.search.surrogates.adaptive import FEWEST, cross_validate, mixed, rank_correlation
from nas.search.surrogates.features import Description
from nas.search.surrogates.kinds import kinds_of

_DEVIATIONS = 1.645
"""90 % of the values of a normal variable are within this number of standard deviations."""


@dataclass(frozen=True)
class SurrogateFit:
    """How well one kind predicts a third of the evaluations, fitted to the other two."""

    name: str
    spearman: float
    """Rank correlation between predicted and evaluated errors."""
    covered: float
    """Share within the 90 % interval."""


def assess(
    space: CodeSpace, codes: Codes, errors: Floats, costs: KnownObjectives | None = None
) -> tuple[SurrogateFit, ...]:
    """Each kind of surrogate and the mixture of all, by cross-validation.

    Args:
        space: The space that was searched.
        codes: The evaluated codes, (n, genes).
        errors: Their errors, (n,); with fewer than 24 the result is empty.
        costs: The known objectives if the surrogates saw them, as they do under a budget.
    """
    if len(errors) < FEWEST:
        return ()
    rng = np.random.default_rng(0)
    targets, _ = logarithms(errors)
    seen = Description(space) if costs is None else Description(space, costs)
    found = cross_validate(kinds_of(seen.groups), seen(codes), targets, rng)
    predicted = {name: (unseen.mean, unseen.std) for name, unseen in found.items()}
    predicted["all together"] = mixed(list(predicted.values()))
    return tuple(_fit(name, mean, std, targets) for name, (mean, std) in predicted.items())


def _fit(name: str, mean: Floats, std: Floats, targets: Floats) -> SurrogateFit:
    covered = float((np.abs(targets - mean) <= _DEVIATIONS * std).mean())
    return SurrogateFit(name, rank_correlation(mean, targets), covered)
