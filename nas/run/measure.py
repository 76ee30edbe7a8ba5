"""Measures the front on each target that is at hand, and writes `measured.json`.

    {"schema": 2, "targets": [{"name", "target", "networks": {id: {"ms", "spread"}}, "reason"}]}

`reason` says why nothing was measured on a target.
"""

from __future__ import annotations

import dataclasses
import json
import math
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nas.cluster.measuring import finalists_on_node, offers
from nas.errors import ExportError, InfeasibleError, NotFittedError
from nas.latency import Target, measure_finalists
from nas.latency.timing.load import tell_load
from nas.latency.timing.machine import Machine
from nas.latency.timing.samples import Measurement
from nas.latency.timing.steady import steadiest
from nas.result import FrontMember
from nas.run.front import Front
from nas.run.work import Work
from nas.search.objectives import limits_in_words
from nas.settings import Settings
from nas.storage import atomic_write, read_document
from nas.units import format_ms

SCHEMA = 2
USELESS = 0.5
"""Repeat noise above which a measurement leaves nobody out: predictions are closer."""

FEWEST, EQUAL_SPEED = 3, 1.25
"""A median of fewer networks, or one that differs by a smaller factor, is not worth a word."""
_SPEED = {
    "cpu": (
        "this machine is {change} now than when its latencies were measured",
        "Close other programs and search again, or measure the machine again",
    ),
    "other": (
        "the device is {change} than the model of it",
        "Measure networks on it, which correct the predictions from then on",
    ),
}
"""The cause, and what to do."""

MachineOf = Callable[[Target], Machine]


def measure(work: Work, front: Front, machine_of: MachineOf | None = None) -> Front:
    """The front with its members' latencies on each target that can be measured here.

    Args:
        work: The run.
        front: What to measure.
        machine_of: Finds the machine of a target, to measure in this process; by default a new
            process measures.

    Raises:
        InfeasibleError: every member was measured beyond the budgets.
        NotFittedError, ExportError: the processor at hand cannot be measured.
    """
    path = work.path / "measured.json"
    if not work.folder.finished("measure"):
        found = [
            {
                "name": name,
                "target": target.to_dict(),
                **_on_target(work, front, target, machine_of),
            }
            for name, target in zip(work.context.target_names, work.context.targets, strict=True)
        ]
        document = {"schema": SCHEMA, "targets": found}
        atomic_write(path, json.dumps(document, indent=2) + "\n")
        for line in only_predicted(found):
            work.console.say(line)
    targets = read_measured(path)
    measured = with_measured(front, targets)
    kept = [member.id for member in measured.kept()]
    over = [member for member in measured.members if member.id not in kept]
    if over and not kept:
        raise _nothing_kept(measured, work.context.target_names)
    if over:
        named = ", ".join(member.id for member in over)
        work.console.say(f"measured beyond the budget, so left out: {named}")
    notes = [
        *unlike_predicted(measured, targets, work.settings),
        *unanswered(measured, work.context.target_names),
    ]
    for line in notes:
        work.console.say(line)
    return measured


def read_measured(path: Path) -> list[dict[str, Any]]:
    """The measured latencies of each target; an empty list if nothing was measured yet.

    Raises:
        RunError: another version of nas wrote the file.
    """
    if not path.exists():
        return []
    document = read_document(path, SCHEMA)
    targets: list[dict[str, Any]] = document["targets"]
    return targets


def with_measured(front: Front, targets: Sequence[dict[str, Any]]) -> Front:
    """The front with the measured latencies of its members."""
    networks = {target["name"]: target["networks"] for target in targets}

    def measured(member: FrontMember) -> FrontMember:
        latencies = tuple(
            dataclasses.replace(
                latency,
                measured_ms=networks.get(latency.target, {}).get(member.id, {}).get("ms"),
            )
            for latency in member.latencies
        )
        return dataclasses.replace(member, latencies=latencies)

    return dataclasses.replace(front, members=tuple(map(measured, front.members)))


def only_predicted(targets: Sequence[dict[str, Any]]) -> list[str]:
    """A note for each target on which nothing was measured."""
    return [
        f"latencies on {target['name']} are predicted, none was measured: {target['reason']}"
        for target in targets
        if target["reason"]
    ]


def unlike_predicted(
    front: Front, targets: Sequence[dict[str, Any]], settings: Settings
) -> list[str]:
    """A note for each target on which most networks are much slower or faster than predicted.

    Args:
        front: With its measured latencies.
        targets: What `measured.json` says.
        settings: The run's.
    """
    said = []
    options = "--space, --data and target of this run"
    if settings.resolution is not None:
        options += f" and --resolution {settings.resolution}"
    if settings.resolutions is not None:
        options += f" and --resolutions {','.join(map(str, settings.resolutions))}"
    for target in targets:
        latencies = [at for member in front.members for at in member.latencies]
        ratios = [
            at.measured_ms / at.predicted_ms
            for at in latencies
            if at.target == target["name"] and at.measured_ms is not None
        ]
        times = statistics.median(ratios) if len(ratios) >= FEWEST else 1.0
        if max(times, 1 / times) > EQUAL_SPEED:
            why, what = _SPEED["cpu" if target["target"]["device"] == "cpu" else "other"]
            said.append(
                f"networks on {target['name']} take {times:.2f} times as long as predicted "
                f"(median of {len(ratios)}): "
                f"{why.format(change='slower' if times > 1 else 'faster')}. {what}: "
                f"`nas measure` with the {options}."
            )
    return said


def unanswered(front: Front, names: Sequence[str]) -> list[str]:
    """A note for each budget set that no network is within, if another set has a network."""
    said: list[str] = []
    if len(front.budgets.budget_sets) == 1:
        return said
    for answer, predicted in zip(front.answers(), front.predicted_within(), strict=True):
        words = limits_in_words(answer.limits_ms, names)
        if answer.best is None and predicted:
            said.append(f"none of the {predicted} predicted within {words} was measured within it")
        elif answer.best is None:
            said.append(
                f"no evaluated architecture is predicted within {words}: evaluate more "
                "(--evaluations), or raise the budget"
            )
    return said


def _on_target(
    work: Work, front: Front, target: Target, machine_of: MachineOf | None
) -> dict[str, Any]:
    """The measured latencies on one target, or the reason why nothing was measured."""
    try:
        found = _finalists_on(work, front.members, target, machine_of)
    except (NotFittedError, ExportError) as error:
        if target.device == "cpu":
            raise
        return {"networks": {}, "reason": str(error)}
    if found is None:
        return {"networks": {}, "reason": None}
    if found.repeat_noise > USELESS:
        why = (
            f"the machine is too unsteady, two measurements of a network differ by "
            f"{found.repeat_noise:.0%}. Close other programs for another run"
        )
        return {"networks": {}, "reason": why}
    networks = {
        member.id: {"ms": float(ms), "spread": float(spread)}
        for member, ms, spread, fits in zip(
            front.members, found.ms, found.spread, found.fits, strict=True
        )
        if fits
    }
    return {"networks": networks, "reason": None}


def _finalists_on(
    work: Work, members: Sequence[FrontMember], target: Target, machine_of: MachineOf | None
) -> Measurement | None:
    """The front's best members, measured on a target; None if there are none.

    On a cluster they are measured on the node that offers the device, if one does.

    Raises:
        NotFittedError, ExportError: it cannot be measured here.
    """
    if not members:
        return None
    shape, architectures = work.context.data.shape, [member.architecture for member in members]
    cluster, console = work.cluster, work.console

    def once() -> Measurement:
        if cluster is not None and offers(cluster, target.device):
            return finalists_on_node(cluster, architectures, target, shape, console)
        if machine_of is None:
            tell_load(target, console)
        machine = machine_of(target) if machine_of else None
        return measure_finalists(architectures, target, shape, progress=console, machine=machine)

    found = steadiest(once, console)
    console.say(f"repeat noise of {target.device}: {found.repeat_noise:.1%}")
    return found


def _nothing_kept(front: Front, names: Sequence[str]) -> InfeasibleError:
    asked = " or ".join(limits_in_words(limits, names) for limits in front.budgets.budget_sets)

    def excess(member: FrontMember) -> float:
        """Measured over allowed where that is most, for the budgets that suit it best."""
        return min(
            max(
                (
                    at.measured_ms / limit
                    for at, limit in zip(member.latencies, limits, strict=True)
                    if limit is not None and at.measured_ms is not None
                ),
                default=math.inf,
            )
            for limits in front.budgets.budget_sets
        )

    closest = [at for at in min(front.members, key=excess).latencies if at.measured_ms is not None]
    took = " and ".join(
        f"{format_ms(at.ms)}{f' on {at.target}' if len(names) > 1 else ''}" for at in closest
    )
    return InfeasibleError(
        f"All {len(front.members)} architectures of the front are predicted to keep the budget of "
        f"{asked}, but none was measured within it: the closest took {took}. A "
        "machine is slower while other programs run: close them and continue. Or raise --budget."
    )
