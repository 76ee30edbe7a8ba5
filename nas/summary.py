"""What a run has come to, read from its folder."""

from __future__ import annotations

from nas.result import FrontMember, RunResult
from nas.runs import read_run
from nas.search.engine import read_records
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
    finished = read_run(work.path).steps
    if "measure" in finished and not work.at_hand:
        device = work.context.target.device
        notes.append(f"{device} is not at hand: latencies are predicted, none was measured")
    return RunResult(
        path=work.path,
        target=str(work.context.target),
        confidence=work.settings.confidence,
        finished=finished,
        front=tuple(_front_member(work, member, tested.get(member.id)) for member in kept),
        evaluations=len(read_records(work.path / "evaluations.jsonl")),
        exported=tuple(exported),
        report=report if report.exists() else None,
        notes=tuple(notes),
    )


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
