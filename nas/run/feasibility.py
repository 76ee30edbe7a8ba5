"""What a space can do on a target, before anything is trained: `nas search --dry-run`.

    fastest, median, slowest    predicted, with their intervals, on each target
    the budgets                 what share of the space they leave, or which one would leave less

The extremes are found by evolution and then by changing single genes for as long as one gains.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nas.data.load import parse_spec
from nas.latency import Predictor, predictor_for
from nas.latency.cost import CostTable
from nas.latency.devices import check
from nas.latency.profiles.predictor import MeasuredPredictor
from nas.progress import Progress
from nas.result import Outcome
from nas.run.context import Context, short_names
from nas.search.asking.descent import descend
from nas.search.feasibility import SAMPLES, Feasibility, check_feasible
from nas.search.objectives import Budgets, Measures
from nas.search.protocol import Codes, Floats
from nas.settings import Settings
from nas.units import format_ms
from search_spaces import SearchSpace

SEED = 1
IMAGES = {"digits": (1, 10), "fashion-mnist": (1, 10), "cifar10": (3, 10)}
"""Channels and classes of data that are known without being read."""
ASSUMED = (3, 10)
"""Of other data, where predictions rest on kernels: stem and head change little with them."""


@dataclass(frozen=True)
class Example:
    """One architecture and its prediction."""

    id: str
    ms: float
    low_ms: float
    high_ms: float

    def __str__(self) -> str:
        low, high = format_ms(self.low_ms), format_ms(self.high_ms)
        return f"{format_ms(self.ms):<8} ({low} to {high})  {self.id}"


@dataclass(frozen=True)
class Extremes:
    """Latencies of a space on one target."""

    fastest: Example
    median: Example
    """Of the samples."""
    slowest: Example


def extremes_of(predictor: Predictor) -> Extremes:
    """The fastest, the middle and the slowest of a space on a target."""
    sampled = predictor.space.sample(SAMPLES, np.random.default_rng(SEED))
    order = np.argsort(predictor.predict(sampled).ms, kind="stable")
    return Extremes(
        _example(predictor, fastest_of(predictor)),
        _example(predictor, sampled[order[len(order) // 2]]),
        _example(predictor, slowest_of(predictor)),
    )


def feasibility_of(
    predictors: Sequence[Predictor], budgets: Budgets, costs: CostTable | None = None
) -> Feasibility:
    """What share of a space keeps the budgets.

    Args:
        predictors: Of one space, on each target.
        budgets: Limits that have to hold.
        costs: Where a limit is on a counted cost.

    Raises:
        InfeasibleError: nothing keeps the budgets; says what the fastest needs.
    """
    space = predictors[0].space
    targets = [predictor.target for predictor in predictors]
    return check_feasible(
        space,
        budgets,
        lambda codes: measures_of(predictors, costs, codes),
        np.random.default_rng(SEED),
        name=space.name,
        targets=[str(target) for target in targets],
        names=short_names(targets),
        smallest=np.stack([space.smallest(), *map(fastest_of, predictors)]),
    )


def fastest_of(predictor: Predictor) -> Codes:
    """The fastest architecture that was found, (genes,)."""
    return _least(predictor.space, lambda codes: predictor.predict(codes).ms, "smallest")


def slowest_of(predictor: Predictor) -> Codes:
    """The slowest architecture that was found, (genes,)."""
    return _least(predictor.space, lambda codes: -predictor.predict(codes).ms, "largest")


def measures_of(
    predictors: Sequence[Predictor], costs: CostTable | None, codes: NDArray[np.integer]
) -> Measures:
    """All that is known of architectures without evaluating them; NaN for what is not counted.

    Activations are those of the largest batch of any target.
    """
    found = [predictor.predict(codes) for predictor in predictors]
    unknown = np.full(len(codes), np.nan)
    images = max(predictor.target.images for predictor in predictors)
    return Measures(
        latency_ms=np.stack([prediction.ms for prediction in found], axis=1),
        low_ms=np.stack([prediction.low_ms for prediction in found], axis=1),
        high_ms=np.stack([prediction.high_ms for prediction in found], axis=1),
        macs=unknown if costs is None else costs.macs(codes),
        params=unknown if costs is None else costs.params(codes),
        memory_mib=unknown if costs is None else costs.memory_mib(codes, images),
    )


def dry_run(settings: Settings, *, console: Progress) -> Outcome:
    """What a search with these settings could find; nothing is trained and no run is made.

    Args:
        settings: Of the search. The data are not read where their channels and classes are known
            or change little.
        console: Who is told.

    Raises:
        InfeasibleError: nothing keeps the budgets; says what the fastest needs.
        NotFittedError: the target is a processor that was not measured yet.
        NasError: a name or a value is wrong.
    """
    context = Context(settings)
    context.check_names()
    channels, classes = _images_of(context)
    predictors = [
        predictor_for(
            context.space,
            target,
            channels,
            classes,
            confidence=settings.confidence,
            measure=False,
            progress=console,
        )
        for target in context.targets
    ]
    costs = CostTable(context.space, channels, classes) if context.budgets.costs() else None
    feasibility = feasibility_of(predictors, context.budgets, costs)
    found = [(predictor, extremes_of(predictor)) for predictor in predictors]
    return Outcome(
        _lines(found, feasibility, channels, classes),
        _document(found, feasibility, channels, classes),
    )


def _images_of(context: Context) -> tuple[int, int]:
    """Channels and classes of the images."""
    kind, _ = parse_spec(context.settings.data)
    if kind in IMAGES:
        return IMAGES[kind]
    if all(check(target.device).kind == "gpu" for target in context.targets):
        return ASSUMED
    return context.data.in_channels, context.data.num_classes  # what was measured depends on them


def _least(
    space: SearchSpace, value: Callable[[Codes], Floats], begin: Literal["smallest", "largest"]
) -> Codes:
    """Evolve codes, then change single genes for as long as one of them lowers the value."""
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


def _example(predictor: Predictor, code: Codes) -> Example:
    found = predictor.predict(code[None])
    return Example(
        predictor.space.decode(code).id,
        float(found.ms[0]),
        float(found.low_ms[0]),
        float(found.high_ms[0]),
    )


Found = Sequence[tuple[Predictor, Extremes]]
"""Each target's predictor, and what it said of the space."""


def _lines(found: Found, feasibility: Feasibility, channels: int, classes: int) -> tuple[str, ...]:
    space = found[0][0].space
    images = f"{channels} image channel{'s' if channels > 1 else ''} and {classes} classes"
    checked = " Budgets are checked against the upper end of the interval."
    lines = [f"{space.name}: {space.size():.3g} architectures, with {images}"]
    for predictor, extremes in found:
        lines += [
            str(predictor),
            f"fastest  {extremes.fastest}",
            f"median   {extremes.median}",
            f"slowest  {extremes.slowest}",
        ]
    lines.append(f"{feasibility}{checked if feasibility.budgets else ''}")
    return (*lines, "Nothing was trained. To search, leave out --dry-run.")


def _document(
    found: Found, feasibility: Feasibility, channels: int, classes: int
) -> dict[str, Any]:
    """The first target's entries are the document's own too."""
    budgets, space = feasibility.budgets, found[0][0].space
    targets = [
        {
            "target": predictor.target.to_dict(),
            "rests_on": str(predictor),
            "measured": isinstance(predictor, MeasuredPredictor),
            "fastest": vars(extremes.fastest),
            "median": vars(extremes.median),
            "slowest": vars(extremes.slowest),
            "binds_below_ms": spread.slowest_ms,
            "leaves_half_ms": spread.median_ms,
        }
        for (predictor, extremes), spread in zip(found, feasibility.spreads, strict=True)
    ]
    return {
        "space": space.name,
        "architectures": space.size(),
        "in_channels": channels,
        "num_classes": classes,
        "confidence": found[0][0].confidence,
        **targets[0],
        "targets": targets,
        "budgets": budgets.by_name(),
        "answers": [
            {"limits_ms": list(limits), "share_within": share, "binds": share < 1.0}
            for limits, share in zip(budgets.budget_sets, feasibility.shares, strict=True)
        ],
        "samples": feasibility.samples,
        "share_within": feasibility.share,
        "binds": feasibility.binds,
    }
