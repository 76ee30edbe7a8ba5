"""How a space follows its E-T errors: at most one step per dimension and generation.

    numbers and options   if the line through the E-T errors falls towards one end, that end gets
                          one more value and the other end loses one; at a limit it only loses one
    families              the worst one goes, if it is worse than the mean of the others

A step is only made if it is sure: the slope is beyond `SURE` standard errors. For the worst of
several families the threshold is higher, because one of many is often bad by chance (Bonferroni).
A dimension keeps at least two values and never gets more than it had. A value that went does not
come back; otherwise a range whose best value is in the middle would go to and fro.

S3 moves every dimension whose slope is beyond a fixed threshold. Here the threshold is the slope's
own standard error, because supernets of small data are judged by few images.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any, Literal

import numpy as np

from nas.space_evolution.dimensions import Dimension
from nas.space_evolution.plain import Plain, to_yaml
from nas.space_evolution.quality import Quality
from search_spaces import SearchSpace
from search_spaces.definition import read_definition
from search_spaces.errors import SpaceError

SURE = 2.0
FEWEST = 2
"""Values that a dimension keeps."""
CHANNELS = 8
"""New widths are multiples of this."""
LIMITS = {
    "resolution": (8, 512),
    "width": (CHANNELS, 2048),
    "depth": (1, 64),
    "recursion": (1, 4),
}

Action = Literal["stays", "shifted", "narrowed", "dropped", "refused"]


@dataclass(frozen=True)
class Decision:
    """What becomes of one dimension."""

    dimension: Dimension
    quality: Quality
    action: Action
    values: tuple[Any, ...]
    """Afterwards; of families, the places in the list that stay."""
    sentence: str
    trend: float
    """Slope of the E-T error per value; of families, the worst one's excess over the others."""
    standard_error: float

    @property
    def moves(self) -> bool:
        """Whether the dimension is another one afterwards."""
        return self.action in ("shifted", "narrowed", "dropped")


def decide(dimension: Dimension, quality: Quality, gone: frozenset[str] = frozenset()) -> Decision:
    """The step that the E-T errors of a dimension call for."""
    known = np.isfinite(quality.error)
    if known.all() and dimension.ordered:
        return _by_trend(dimension, quality, gone)
    if known.all():
        return _by_worst(dimension, quality)
    unseen = ", ".join(np.array(dimension.labels)[~known])
    sentence = f"stays: none of the architectures has {unseen}."
    return Decision(dimension, quality, "stays", dimension.values, sentence, np.nan, np.nan)


def apply(plain: Plain, decisions: list[Decision]) -> tuple[SearchSpace, Plain, list[Decision]]:
    """The space after the decisions, and the decisions as far as it accepts them.

    Values first, whole families after and depths last, so that places in lists still mean the
    same.
    """
    settled = [
        replace(d, action="stays", values=d.dimension.values, sentence="goes with its family.")
        if _of_a_dropped_family(d, decisions)
        else d
        for d in decisions
    ]
    space = SearchSpace(read_definition(to_yaml(plain), plain["name"]))
    for number in sorted(range(len(settled)), key=lambda i: _turn(settled[i])):
        decision = settled[number]
        if not decision.moves:
            continue
        changed = _changed(plain, decision)
        try:
            space = SearchSpace(read_definition(to_yaml(changed), plain["name"]))
        except SpaceError as error:
            settled[number] = refused(decision, f"the space does not allow it ({error})")
        else:
            plain = changed
    return space, plain, settled


def refused(decision: Decision, why: str) -> Decision:
    """The same decision, not carried out."""
    sentence = f"{decision.sentence} Refused: {why}"
    values = decision.dimension.values
    return replace(decision, action="refused", values=values, sentence=sentence)


def _by_trend(dimension: Dimension, quality: Quality, gone: frozenset[str]) -> Decision:
    slope, error = quality.slope()
    values = dimension.values

    def decided(action: Action, after: tuple[Any, ...], sentence: str) -> Decision:
        return Decision(dimension, quality, action, after, sentence, slope, error)

    per_value = f"{100 * slope:+.2f} ± {100 * error:.2f} points per value"
    if not abs(slope) > SURE * error:
        return decided("stays", values, f"stays: no trend that is sure ({per_value}).")
    up = slope < 0
    kept = values[1:] if up else values[:-1]
    worse = dimension.labels[0 if up else -1]
    trend = f"the {'greater' if up else 'lesser'} the better at equal cost ({per_value})"
    if dimension.offered is not None:
        trend = f"the {'dearer' if up else 'cheaper'} the better at equal cost ({per_value})"
    further, why = _beyond(dimension, up)
    if str(further) in gone:
        further, why = None, f"{further} went before"
    if further is not None:
        after = (*kept, further) if up else (further, *kept)
        return decided("shifted", after, f"{further} comes, {worse} goes: {trend}.")
    if len(values) > FEWEST:
        return decided("narrowed", kept, f"{worse} goes: {trend}; {why}.")
    return decided("refused", values, f"stays: {trend}, but {why}.")


def _by_worst(dimension: Dimension, quality: Quality) -> Decision:
    worst = int(quality.error.argmax())
    excess, error = quality.excess(worst)
    label = dimension.labels[worst]
    values = dimension.values

    def decided(action: Action, after: tuple[Any, ...], sentence: str) -> Decision:
        return Decision(dimension, quality, action, after, sentence, excess, error)

    above = f"{100 * excess:.2f} ± {100 * error:.2f} points above the others at equal cost"
    chance = NormalDist().cdf(-SURE) / len(values)  # Bonferroni: the worst of so many
    if not excess > -NormalDist().inv_cdf(chance) * error:
        return decided("stays", values, f"stays: none is surely worse ({label}: {above}).")
    if len(values) <= FEWEST:
        return decided("refused", values, f"stays: {label} is {above}, but two have to stay.")
    after = tuple(value for i, value in enumerate(values) if i != worst)
    return decided("dropped", after, f"{label} goes: {above}.")


def _beyond(dimension: Dimension, up: bool) -> tuple[Any, str]:
    """The value beyond one end, or None and why there is none."""
    values = dimension.values
    end = values[-1 if up else 0]
    if dimension.offered is not None:
        place = dimension.offered.index(end) + (1 if up else -1)
        if 0 <= place < len(dimension.offered):
            return dimension.offered[place], ""
        return None, f"its family offers nothing beyond {end}"
    kind = str(dimension.path[-1])
    step = values[-1] - values[-2] if up else values[1] - values[0]
    value = end + step if up else end - step
    if kind == "width":
        value = CHANNELS * (-(-value // CHANNELS) if up else value // CHANNELS)
    low, high = LIMITS[kind]
    if low <= value <= high:
        return value, ""
    return None, f"a {kind} of {value} is beyond the limits ({low} to {high})"


def _turn(decision: Decision) -> int:
    if decision.dimension.path[-1] == "depth":
        return 2
    return 1 if _drops_families(decision) else 0


def _drops_families(decision: Decision) -> bool:
    """Whether a whole family goes, and not one value of an option."""
    return decision.action == "dropped" and decision.dimension.offered is None


def _of_a_dropped_family(decision: Decision, decisions: list[Decision]) -> bool:
    """Whether an option belongs to a family that goes as a whole."""
    path = decision.dimension.path
    return any(
        _drops_families(other)
        and other.dimension.path == path[: len(other.dimension.path)]
        and len(path) > len(other.dimension.path)
        and path[len(other.dimension.path)] not in other.values
        for other in decisions
    )


def _changed(plain: Plain, decision: Decision) -> Plain:
    """The space's data with one decision carried out."""
    plain = copy.deepcopy(plain)
    *way, last = decision.dimension.path
    holder: Any = plain
    for step in way:
        holder = holder[step]
    if not _drops_families(decision):
        holder[last] = list(decision.values)
        if last == "depth" and "blocks" in holder:
            holder["blocks"] = _resized(holder["blocks"], max(decision.values))
        return plain
    holder[last] = [holder[last][place] for place in decision.values]
    for stage in plain["stages"]:
        kinds = [kind for items in _lists(stage, "mixers") for item in items for kind in item]
        if stage.get("reference") not in (None, *kinds):
            stage["reference"] = kinds[0]
    left = {
        kind
        for stage in plain["stages"]
        for key in ("mixers", "channel_mixers")
        for items in _lists(stage, key)
        for item in items
        for kind in item
    }
    weights = {k: w for k, w in plain.pop("family_weights", {}).items() if k in left}
    return {**plain, "family_weights": weights} if weights else plain


def _lists(stage: Plain, key: str) -> list[list[dict[str, Any]]]:
    """Every list of a stage's families, its blocks' own ones included."""
    own = [block[key] for block in stage.get("blocks", []) if key in block]
    return [stage[key], *own]


def _resized(blocks: list[Plain], depth: int) -> list[Plain]:
    """As many blocks as the greatest depth; new ones are like the last."""
    more = [copy.deepcopy(blocks[-1]) for _ in range(depth - len(blocks))]
    return [*blocks, *more][:depth]
