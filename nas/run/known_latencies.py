"""Predicted latencies and counted costs of architectures, and the share within the budgets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from nas.latency import Predictor, predictor_for
from nas.latency.cost import CostTable
from nas.latency.profiles.speed import tell_speed
from nas.progress import Progress
from nas.run.context import Context
from nas.run.targets import short_names
from nas.run.work import Work
from nas.search.asking.descent import descend
from nas.search.feasibility import Feasibility, check_feasible
from nas.search.objectives import Budgets, Measures
from nas.search.protocol import Codes, Floats
from search_spaces import SearchSpace
from search_spaces.data_shape import DataShape

SEED = 1


@dataclass(frozen=True)
class Known:
    """Predicted latencies and counted costs of a space's architectures."""

    predictors: Sequence[Predictor]
    """One per target."""
    costs: CostTable | None
    """None if costs are not counted."""

    def measures(self, codes: Codes) -> Measures:
        """Latencies and costs of codes (n, genes); NaN for costs that are not counted.

        The memory is for the largest batch of any target.
        """
        found = [predictor.predict(codes) for predictor in self.predictors]
        unknown = np.full(len(codes), np.nan)
        images = max(predictor.target.images for predictor in self.predictors)
        costs = self.costs
        return Measures(
            latency_ms=np.stack([prediction.ms for prediction in found], axis=1),
            low_ms=np.stack([prediction.low_ms for prediction in found], axis=1),
            high_ms=np.stack([prediction.high_ms for prediction in found], axis=1),
            macs=unknown if costs is None else costs.macs(codes),
            params=unknown if costs is None else costs.params(codes),
            memory_mib=unknown if costs is None else costs.memory_mib(codes, images),
        )


def known_of(context: Context, console: Progress, *, measure: bool = True) -> Known:
    """Predictors of the run's targets, and the table of costs; all else as `predictors_of`."""
    data = context.data
    predictors = predictors_of(context, data.shape, console, measure=measure)
    return Known(predictors, CostTable(context.space, data.shape))


def predictors_of(
    context: Context,
    data_shape: DataShape,
    console: Progress,
    *,
    measure: bool = True,
) -> list[Predictor]:
    """One predictor per target.

    Args:
        context: What the settings name.
        data_shape: Channels of the images and number of classes.
        console: Shows the progress.
        measure: Whether to measure the processor at hand if it was not measured before.

    Raises:
        NotFittedError: a target was not measured and cannot be measured now.
    """
    return [
        predictor_for(
            context.space,
            target,
            data_shape,
            confidence=context.settings.confidence,
            measure=measure,
            progress=console,
        )
        for target in context.targets
    ]


def know_latencies(work: Work) -> Known:
    """The latency step: make the predictors, and check that an architecture keeps the budgets.

    Raises:
        InfeasibleError: none does; the message says how long the fastest takes.
    """
    known = known_of(work.context, work.console)
    if not work.folder.finished("latency"):
        for predictor in known.predictors:
            work.console.say(str(predictor))
            tell_speed(predictor, work.console)
        work.console.say(str(feasibility_of(known, work.context.budgets)))
    return known


def feasibility_of(known: Known, budgets: Budgets) -> Feasibility:
    """The share of a space that keeps the budgets.

    Raises:
        InfeasibleError: none does; the message says how long the fastest takes.
    """
    space = known.predictors[0].space
    targets = [predictor.target for predictor in known.predictors]
    return check_feasible(
        space,
        budgets,
        known.measures,
        np.random.default_rng(SEED),
        name=space.name,
        targets=[str(target) for target in targets],
        names=short_names(targets),
        smallest=np.stack([space.smallest(), *map(fastest_of, known.predictors)]),
    )


def fastest_of(predictor: Predictor) -> Codes:
    """The fastest architecture that was found, (genes,)."""
    return _least(predictor.space, lambda codes: predictor.predict(codes).ms, "smallest")


def slowest_of(predictor: Predictor) -> Codes:
    """The slowest architecture that was found, (genes,)."""
    return _least(predictor.space, lambda codes: -predictor.predict(codes).ms, "largest")


def _least(
    space: SearchSpace, value: Callable[[Codes], Floats], begin: Literal["smallest", "largest"]
) -> Codes:
    """Evolve codes, then change single genes for as long as one change lowers the value."""
    start = space.smallest() if begin == "smallest" else space.largest()
    code: Codes = descend(space, value, np.random.default_rng(SEED), start[None])[0]
    while True:
        near = [code]
        for gene, choices in enumerate(space.cardinalities):
            changed = np.repeat(code[None], choices, axis=0)
            changed[:, gene] = np.arange(choices)
            near.extend(changed)
        codes = space.canonical(np.stack(near))
        values = value(codes)
        if values.min() >= values[0]:
            return code
        code = codes[values.argmin()]
