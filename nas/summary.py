"""What a run has come to, read from its folder."""

from __future__ import annotations

from nas.result import FrontMember, RunResult
from nas.runs import read_run
from nas.search.engine import read_records
from nas.search.front import hypervolume
from nas.search.records import Record
from nas.work import Member, Work


def result_of(work: Work) -> RunResult:
    """The run's result as far as it has come."""
    tested = {id: found["test"]["accuracy"] for id, found in work.network_results().items()}
    front = work.front()
    kept = [member for member in front if work.keeps_budget(member)]
    report = work.path / "report.html"
    exported = sorted(path.parent for path in work.path.glob("networks/*/architecture.yaml"))
    notes = [
        f"{member.id} was measured at {member.measured_ms:.3g} ms, beyond the budget"
        for member in front
        if member not in kept
    ]
    return RunResult(
        path=work.path,
        target=str(work.context.target),
        finished=read_run(work.path).steps,
        front=tuple(_front_member(work, member, tested.get(member.id)) for member in kept),
        evaluations=len(read_records(work.path / "evaluations.jsonl")),
        hypervolume=front_hypervolume(work, [m.entry for m in front]) if front else None,
        exported=tuple(exported),
        report=report if report.exists() else None,
        notes=tuple(notes),
    )


def reference_point(work: Work, records: list[Record]) -> tuple[float, float]:
    """Where hypervolumes are measured from: the lowest accuracy seen and the budget.

    Without a latency budget the slowest evaluation stands in for it.
    """
    good = [record for record in records if not record.failed]
    worst = min((getattr(r, work.settings.metric) for r in good), default=0.0)
    slowest = max((r.latency_ms for r in good), default=1.0)
    return 1.0 - worst, work.settings.budget_ms or slowest


def front_hypervolume(work: Work, entries: list[dict[str, object]]) -> float:
    """Accuracy times milliseconds that the front dominates."""
    import numpy as np

    records = read_records(work.path / "evaluations.jsonl")
    metric = work.settings.metric
    points = np.array([[1.0 - e[metric], e["prediction"]["ms"]] for e in entries])  # type: ignore
    return float(hypervolume(points, np.array(reference_point(work, records))))


def _front_member(work: Work, member: Member, tested: float | None) -> FrontMember:
    entry = member.entry
    prediction = entry["prediction"]
    return FrontMember(
        id=member.id,
        accuracy=entry[work.settings.metric],
        predicted_ms=prediction["ms"],
        low_ms=prediction["low_ms"],
        high_ms=prediction["high_ms"],
        macs=entry["macs"],
        params=entry["params"],
        memory_mib=entry["memory_mib"],
        measured_ms=member.measured_ms,
        test_accuracy=tested,
    )
