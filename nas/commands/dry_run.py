"""The latencies of a space, before anything is trained: `nas search --dry-run`.

    fastest, median, slowest    predicted on each target, with their intervals
    the budgets                 the share of the space that is within them

The fastest and the slowest are found by evolution, then by changing one gene at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from nas.data.load import parse_spec
from nas.latency import Predictor
from nas.latency.cost import CostTable
from nas.latency.devices import check
from nas.latency.profiles.predictor import MeasuredPredictor
from nas.progress import Progress
from nas.result import Latency, Outcome
from nas.run.context import Context
from nas.run.known_latencies import (
    SEED,
    Known,
    fastest_of,
    feasibility_of,
    predictors_of,
    slowest_of,
)
from nas.run.resolutions import narrow_by_budgets
from nas.search.feasibility import SAMPLES, Feasibility
from nas.search.protocol import Codes
from nas.settings import Settings
from nas.units import format_ms
from search_spaces.data_shape import DataShape

IMAGES = {
    "digits": DataShape(1, 10),
    "fashion-mnist": DataShape(1, 10),
    "cifar10": DataShape(3, 10),
}
"""Channels and classes of data that are known without being read."""
ASSUMED = DataShape()
"""Assumed for other data on GPUs: both change only stem and head, by little."""


@dataclass(frozen=True)
class Example:
    """One architecture and its predicted latency."""

    id: str
    latency: Latency

    def __str__(self) -> str:
        ms, low, high = (
            format_ms(ms)
            for ms in (self.latency.predicted_ms, self.latency.low_ms, self.latency.high_ms)
        )
        return f"{ms:<8} ({low} to {high})  {self.id}"


@dataclass(frozen=True)
class Extremes:
    """Latencies of a space on one target."""

    fastest: Example
    median: Example
    """The median of the samples."""
    slowest: Example


def dry_run(settings: Settings, *, console: Progress) -> Outcome:
    """The extreme latencies of the space and its share within the budgets; nothing is trained.

    Args:
        settings: The search's settings. The data is only read if the number of channels or
            classes matters and is not known.
        console: Shows the progress.

    Raises:
        InfeasibleError: nothing keeps the budgets; the message says how long the fastest takes.
        NotFittedError: the target is a processor that was not measured yet.
        NasError: a name or a value is wrong.
    """
    context = Context(settings)
    context.check_names()
    narrow_by_budgets(context, console, measure=False)
    shape = _data_shape(context)
    predictors = predictors_of(context, shape, console, measure=False)
    costs = CostTable(context.space, shape) if context.budgets.costs() else None
    feasibility = feasibility_of(Known(predictors, costs), context.budgets)
    found = [
        (predictor, extremes_of(predictor, name))
        for predictor, name in zip(predictors, context.target_names, strict=True)
    ]
    return Outcome(tuple(_lines(found, feasibility, shape)), _document(found, feasibility, shape))


def extremes_of(predictor: Predictor, target: str) -> Extremes:
    """The fastest, the median and the slowest architecture of a space on a target."""
    sampled = predictor.space.sample(SAMPLES, np.random.default_rng(SEED))
    order = np.argsort(predictor.predict(sampled).ms, kind="stable")

    def example(code: Codes) -> Example:
        found = predictor.predict(code[None])
        ends = (float(ms[0]) for ms in (found.ms, found.low_ms, found.high_ms))
        return Example(predictor.space.decode(code).id, Latency(target, *ends))

    return Extremes(
        example(fastest_of(predictor)),
        example(sampled[order[len(order) // 2]]),
        example(slowest_of(predictor)),
    )


def _data_shape(context: Context) -> DataShape:
    """Channels and classes of the images."""
    kind, _ = parse_spec(context.settings.data)
    if kind in IMAGES:
        return IMAGES[kind]
    if all(check(target.device).kind == "gpu" for target in context.targets):
        return ASSUMED
    return context.data.shape  # a profile is for these


Found = Sequence[tuple[Predictor, Extremes]]
"""Each target's predictor and the latencies that it predicted for the space."""


def _lines(found: Found, feasibility: Feasibility, data_shape: DataShape) -> list[str]:
    space = found[0][0].space
    checked = " Budgets are compared with the upper end of the interval."
    lines = [f"{space.name}: {space.size():.3g} architectures, with {data_shape}"]
    for predictor, extremes in found:
        lines += [
            str(predictor),
            f"fastest  {extremes.fastest}",
            f"median   {extremes.median}",
            f"slowest  {extremes.slowest}",
        ]
    lines.append(f"{feasibility}{checked if feasibility.budgets else ''}")
    return [*lines, "Nothing was trained. To search, leave out --dry-run."]


def _document(found: Found, feasibility: Feasibility, data_shape: DataShape) -> dict[str, Any]:
    budgets, space = feasibility.budgets, found[0][0].space
    return {
        "space": space.name,
        "architectures": space.size(),
        "in_channels": data_shape.channels,
        "num_classes": data_shape.classes,
        "confidence": found[0][0].confidence,
        "targets": [
            {
                "name": spread.name,
                "target": predictor.target.to_dict(),
                "rests_on": str(predictor),
                "measured": isinstance(predictor, MeasuredPredictor),
                **asdict(extremes),
                "binds_below_ms": spread.slowest_ms,
                "leaves_half_ms": spread.median_ms,
            }
            for (predictor, extremes), spread in zip(found, feasibility.spreads, strict=True)
        ],
        "budgets": budgets.costs(),
        "budget_sets": [
            {"limits_ms": list(limits), "share_within": share, "binds": share < 1.0}
            for limits, share in zip(budgets.budget_sets, feasibility.shares, strict=True)
        ],
        "samples": feasibility.samples,
        "share_within": feasibility.share,
        "binds": feasibility.binds,
    }
