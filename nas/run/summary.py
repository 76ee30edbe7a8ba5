"""The result of a run so far, read from its folder."""

from __future__ import annotations

from pathlib import Path

from nas.result import FrontMember, NamedTarget, RunResult, shown_metric
from nas.run.context import Context
from nas.run.finish import results_of
from nas.run.folder import read_run
from nas.run.front import Front
from nas.run.measure import only_predicted, read_measured, unanswered, with_measured
from nas.search.engine import read_records
from nas.search.front_file import read_front


def front_of(path: Path, context: Context) -> Front:
    """The run's front so far; it has no members before the search has finished."""
    file = path / "front.json"
    members = tuple(read_front(file)) if file.exists() else ()
    front = Front(members, context.budgets, context.metric)
    front = with_measured(front, read_measured(path / "measured.json"))
    return front.with_test_accuracy(
        {id: result.test.accuracy for id, result in results_of(path).items()}
    )


def result_of(path: Path, context: Context) -> RunResult:
    """The run's result so far."""
    front, finished = front_of(path, context), read_run(path).steps
    report = path / "report.html"
    exported = sorted(found.parent for found in path.glob("networks/*/architecture.yaml"))
    return RunResult(
        path=path,
        targets=tuple(
            NamedTarget(name, str(target))
            for name, target in zip(context.target_names, context.targets, strict=True)
        ),
        finished=finished,
        front=tuple(front.kept()),
        answers=tuple(front.answers()),
        evaluations=len(read_records(path / "evaluations.jsonl")),
        exported=tuple(exported),
        report=report if report.exists() else None,
        notes=tuple(_notes(path, front, finished, context.target_names)),
        confidence=context.settings.confidence,
        metric=shown_metric(context.metric),
    )


def _notes(
    path: Path, front: Front, finished: tuple[str, ...], names: tuple[str, ...]
) -> list[str]:
    """Notes for the person who reads the front."""
    kept = front.kept()
    notes = [
        f"{member.id} was measured at {_measured(member)}, beyond the budget"
        for member in front.members
        if member not in kept
    ]
    if "search" in finished:
        notes += unanswered(front, names)
    if "measure" in finished:
        notes += only_predicted(read_measured(path / "measured.json"))
    return notes


def _measured(member: FrontMember) -> str:
    """The measured latencies of a member."""
    several = len(member.latencies) > 1
    return " and ".join(
        f"{latency.measured_ms:.3g} ms{f' on {latency.target}' if several else ''}"
        for latency in member.latencies
        if latency.measured_ms is not None
    )
