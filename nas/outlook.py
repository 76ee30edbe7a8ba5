"""What a space can do on a target, before anything is trained: `nas search --dry-run`.

    fastest, median, slowest    predicted, with their intervals
    the budget                  what share of the space it leaves, or which one would leave less

The extremes are found by evolution and then by changing single genes for as long as one gains.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nas.context import Context
from nas.data.load import parse_spec
from nas.latency import CpuPredictor, Predictor, predictor_for
from nas.latency.cost import CostTable
from nas.latency.devices import check
from nas.progress import Progress
from nas.result import Outcome
from nas.search.candidates import descend
from nas.search.objectives import SAMPLES, Budgets, Feasibility, Measures, check_feasible
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
class Outlook:
    """Latencies of a space on a target, and what its budgets leave."""

    fastest: Example
    median: Example
    """Of the samples."""
    slowest: Example
    feasibility: Feasibility


def outlook(predictor: Predictor, budgets: Budgets, costs: CostTable | None = None) -> Outlook:
    """Look at a space before it is searched.

    Args:
        predictor: Of the space on the target.
        budgets: Limits that have to hold.
        costs: Where a limit is on a counted cost.

    Raises:
        InfeasibleError: nothing keeps the budgets; says what the fastest needs.
    """
    space = predictor.space
    feasibility = feasibility_of(predictor, budgets, costs)
    sampled = space.sample(SAMPLES, np.random.default_rng(SEED))
    order = np.argsort(predictor.predict(sampled).ms, kind="stable")
    middle = sampled[order[len(order) // 2]]
    return Outlook(
        _example(predictor, fastest_of(predictor)),
        _example(predictor, middle),
        _example(predictor, slowest_of(predictor)),
        feasibility,
    )


def feasibility_of(
    predictor: Predictor, budgets: Budgets, costs: CostTable | None = None
) -> Feasibility:
    """What share of a space keeps the budgets; arguments and errors as `outlook`."""
    space = predictor.space
    return check_feasible(
        space,
        budgets,
        lambda codes: measures_of(predictor, costs, codes),
        np.random.default_rng(SEED),
        name=space.name,
        target=str(predictor.target),
        smallest=np.stack([space.smallest(), fastest_of(predictor)]),
    )


def fastest_of(predictor: Predictor) -> Codes:
    """The fastest architecture that was found, (genes,)."""
    return _least(predictor.space, lambda codes: predictor.predict(codes).ms, "smallest")


def slowest_of(predictor: Predictor) -> Codes:
    """The slowest architecture that was found, (genes,)."""
    return _least(predictor.space, lambda codes: -predictor.predict(codes).ms, "largest")


def measures_of(
    predictor: Predictor, costs: CostTable | None, codes: NDArray[np.integer]
) -> Measures:
    """All that is known of architectures without evaluating them; NaN for what is not counted."""
    prediction = predictor.predict(codes)
    unknown = np.full(len(codes), np.nan)
    return Measures(
        latency_ms=prediction.ms,
        low_ms=prediction.low_ms,
        high_ms=prediction.high_ms,
        macs=unknown if costs is None else costs.macs(codes),
        params=unknown if costs is None else costs.params(codes),
        memory_mib=(
            unknown if costs is None else costs.memory_mib(codes, predictor.target.images)
        ),
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
    predictor = predictor_for(
        context.space,
        context.target,
        channels,
        classes,
        confidence=settings.confidence,
        measure=False,
        progress=console,
    )
    counted = set(context.budgets.limits()) - {"latency_ms"}
    costs = CostTable(predictor.space, channels, classes) if counted else None
    found = outlook(predictor, context.budgets, costs)
    return Outcome(
        _lines(predictor, found, channels, classes),
        _document(predictor, found, channels, classes, context.budgets),
    )


def _images_of(context: Context) -> tuple[int, int]:
    """Channels and classes of the images."""
    kind, _ = parse_spec(context.settings.data)
    if kind in IMAGES:
        return IMAGES[kind]
    if check(context.target.device).kind == "gpu":
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


def _lines(predictor: Predictor, found: Outlook, channels: int, classes: int) -> tuple[str, ...]:
    space = predictor.space
    images = f"{channels} image channel{'s' if channels > 1 else ''} and {classes} classes"
    checked = " Budgets are checked against the upper end of the interval."
    return (
        f"{space.name}: {space.size():.3g} architectures, with {images}",
        str(predictor),
        f"fastest  {found.fastest}",
        f"median   {found.median}",
        f"slowest  {found.slowest}",
        f"{found.feasibility}{checked if found.feasibility.limited else ''}",
        "Nothing was trained. To search, leave out --dry-run.",
    )


def _document(
    predictor: Predictor, found: Outlook, channels: int, classes: int, budgets: Budgets
) -> dict[str, Any]:
    feasibility = found.feasibility
    return {
        "space": predictor.space.name,
        "architectures": predictor.space.size(),
        "in_channels": channels,
        "num_classes": classes,
        "target": predictor.target.to_dict(),
        "rests_on": str(predictor),
        "measured": isinstance(predictor, CpuPredictor),
        "confidence": predictor.confidence,
        "fastest": vars(found.fastest),
        "median": vars(found.median),
        "slowest": vars(found.slowest),
        "budgets": budgets.limits(),
        "samples": feasibility.samples,
        "share_within": feasibility.share,
        "binds": feasibility.binds,
        "binds_below_ms": feasibility.slowest_ms,
        "leaves_half_ms": feasibility.median_ms,
    }
