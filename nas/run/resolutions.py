"""At which resolutions photographs are searched: their size and the budgets decide.

Networks see images at half of their side to all of it, among what the space offers. The latency of
the space's largest network then moves both ends:

    largest side     the largest at which that network takes at most 1.5 times the loosest budget
    smallest side    half of that, or less if that network keeps the tightest budget only there

Beyond the largest side only networks far thinner than the largest keep a budget. Wide ones at a
smaller side are better (`results/photographs/README.md`), and the supernet trains in a fraction of
the time. A supernet in the cache that has learnt all of these sides and others is used as it is.
What a search decides stands in its `settings.json`, so that a resumed run does not measure again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from nas.baselines.choice import Growth
from nas.latency import Effort, Target, measure_finalists
from nas.latency.devices import check
from nas.latency.gpu.predictor import GpuModel
from nas.latency.kept import Kept
from nas.latency.profiles.profile import Subject
from nas.latency.timing.load import CALM, free_share
from nas.progress import Progress
from nas.run.choosing import resolutions_for
from nas.run.context import Context
from nas.run.measure import MachineOf
from nas.run.supernets import trained_before
from nas.storage import cache_dir, storing
from nas.units import format_ms
from search_spaces import Architecture, build_network, load_space
from search_spaces.data_shape import DataShape
from search_spaces.deployment import deployed
from search_spaces.space import SearchSpace

Limits = Sequence[Sequence[float | None]]
"""Sets of budgets in ms that hold at the same time, one per target; None is no limit."""
MOST = 1.5
"""Times of the loosest budget that the largest network may take at the largest side."""
EFFORT = Effort(6.0, least=5, most=20)


def narrow_by_budgets(
    context: Context,
    console: Progress,
    machine_of: MachineOf | None = None,
    *,
    measure: bool = True,
) -> None:
    """Leave out resolutions that the budgets exclude, and add smaller ones that they need.

    Does nothing where a person chose the resolutions, where there is no latency budget, and in
    spaces that are not for photographs.

    Args:
        context: Its space is narrowed.
        console: Says which resolutions are left and why, if the budgets changed them.
        machine_of: Finds the machine that measures, in this process; by default a process of its
            own measures.
        measure: Whether to measure the processor at hand, if it was not measured before.

    Raises:
        NotFittedError, ExportError: the processor at hand cannot be measured.
    """
    settings = context.settings
    asked = settings.resolution is not None or settings.resolutions is not None
    if asked or not context.budgets.limits_latency:
        return
    named = load_space(context.chosen_space.name)
    if named.definition.donor is None:
        return
    side = max(context.data.native_size)
    usual = resolutions_for(named, side)
    possible = [r for r in named.definition.resolution if r <= max(usual)]
    if len(possible) == 1:
        return
    smallest_and_largest = named.at([possible[0], possible[-1]])
    shape = context.data.shape
    limits = context.budgets.budget_sets
    pairs = [
        (None, None)
        if not any(budgets) or _was_measured(context.whole_space, target, shape)
        else _latencies(smallest_and_largest, target, shape, console, machine_of, measure)
        for target, budgets in zip(context.targets, zip(*limits, strict=True), strict=True)
    ]
    growth = Growth((possible[0], possible[-1]), tuple(pairs))
    ends = ends_within(possible, growth, limits)
    if ends is None:
        return
    left = [side for side in possible if min(ends[0], ends[1] / 2) <= side <= ends[1]]
    trained = _trained(context, possible, ends)
    if trained is not None and trained != left:
        console.say(
            f"networks see the images at {_range(trained)}: a supernet was trained for these"
        )
    elif left != usual:
        console.say(_reason(left, usual, growth))
    chosen = trained or left
    context.narrow(None if chosen == usual else chosen)


def _trained(
    context: Context, possible: Sequence[int], needed: tuple[int, int]
) -> list[int] | None:
    """The resolutions of a supernet in the cache that has learnt the needed ones.

    None if there is none; that with the fewest others if there are several.
    """
    ends = [(a, b) for a in possible for b in possible if a <= needed[0] and needed[1] <= b]
    wider = [[side for side in possible if a <= side <= b] for a, b in ends]
    for some in sorted(wider, key=len):
        context.narrow(some)
        if trained_before(context):
            return some
    return None


def forget_times() -> None:
    """Measure the processor at hand anew the next time, because its speed has changed."""
    with storing(_kept_times()):
        _kept_times().unlink(missing_ok=True)


def ends_within(possible: Sequence[int], growth: Growth, limits: Limits) -> tuple[int, int] | None:
    """The smallest and the largest resolution that budgets need; None if no latency is known.

    Args:
        possible: All that suit the images, ascending.
        growth: Latency of the space's largest network.
        limits: The budgets.
    """

    def excess(side: int, of_set: Sequence[float | None]) -> float | None:
        """Latency over the budget, on the target where that is most; None if nothing is known."""
        pairs = zip(growth.at(side), of_set, strict=True)
        return max((ms / limit for ms, limit in pairs if ms and limit), default=None)

    by_side = {
        side: [found for of_set in limits if (found := excess(side, of_set)) is not None]
        for side in possible
    }
    if not by_side[possible[0]]:
        return None
    largest = max((s for s in possible if min(by_side[s]) <= MOST), default=possible[0])
    kept = max((s for s in possible if max(by_side[s]) <= 1.0), default=possible[0])
    return kept, largest


def _was_measured(space: SearchSpace, target: Target, shape: DataShape) -> bool:
    """Whether networks of the space were measured on a GPU: that is of these resolutions alone."""
    measurable = check(target.device).kind == "gpu"
    return measurable and Subject(space, target, shape).path.exists()


def _latencies(
    ends: SearchSpace,
    target: Target,
    shape: DataShape,
    console: Progress,
    machine_of: MachineOf | None,
    measure: bool,
) -> tuple[float | None, float | None]:
    """Milliseconds of the largest network at the two resolutions of a space.

    Predicted for a GPU; not known for a board, a busy processor, or one that is not to be
    measured. What was measured is kept, so that another search finds the supernet of the first.
    """
    kind = check(target.device).kind
    if kind == "board":
        return None, None
    networks = [at.decode(at.largest()) for at in map(ends.restrict, ends.definition.resolution)]
    if kind == "gpu":
        low, high = (_predicted(network, target, shape) for network in networks)
        return low, high
    kept = Kept(_kept_times())
    key = Subject(ends, target, shape).path.stem
    if (before := kept.read([key]).get(key)) is not None:
        low, high = json.loads(before)
        return low, high
    if not measure:
        return None, None
    if machine_of is None and free_share(target.thread_count) < CALM:
        console.say(
            "Other programs keep the processors busy, so it is not known at which resolutions "
            "networks keep the budgets: those that suit the images are taken (--resolutions "
            "chooses others)"
        )
        return None, None
    sides = " and ".join(str(network.resolution) for network in networks)
    console.say(f"timing the largest network of the space at {sides} px")
    machine = None if machine_of is None else machine_of(target)
    found = measure_finalists(networks, target, shape, effort=EFFORT, machine=machine)
    low, high = (float(ms) for ms in found.ms)
    kept.write({key: json.dumps([low, high]).encode()})
    return low, high


def _kept_times() -> Path:
    return cache_dir() / "latency" / "largest.sqlite"


def _predicted(architecture: Architecture, target: Target, shape: DataShape) -> float:
    """Milliseconds of a network on a GPU."""
    network, side = build_network(deployed(architecture), shape).eval(), architecture.resolution
    found = GpuModel(target).network(network, (target.images, shape.channels, side, side))
    return float(found.prediction.ms[0])


def _reason(left: Sequence[int], usual: Sequence[int], growth: Growth) -> str:
    """Why networks see the images at these resolutions."""
    known = next(i for i, ms in enumerate(growth.at(left[0])) if ms is not None)
    times = [
        f"{format_ms(ms)} at {side} px"
        for side in sorted({left[0], left[-1], usual[-1]})
        if (ms := growth.at(side)[known]) is not None
    ]
    return (
        f"networks see the images at {_range(left)}, and not at {_range(usual)}: the largest "
        f"network of the space takes {', '.join(times)} (--resolutions chooses others)"
    )


def _range(sides: Sequence[int]) -> str:
    return f"{sides[0]} px" if len(sides) == 1 else f"{sides[0]} to {sides[-1]} px"
