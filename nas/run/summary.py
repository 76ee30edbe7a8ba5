"""What a run has come to, read from its folder."""

from __future__ import annotations

from nas.result import Answer, FrontMember, RunResult
from nas.run.folder import read_run
from nas.run.work import Member, Work
from nas.search.engine import read_records
from nas.search.objectives import limits_in_words


def result_of(work: Work) -> RunResult:
    """The run's result as far as it has come."""
    tested = {id: found["test"]["accuracy"] for id, found in work.network_results().items()}
    front = work.front()
    kept = [member for member in front if work.keeps_budget(member)]
    report = work.path / "report.html"
    exported = sorted(path.parent for path in work.path.glob("networks/*/architecture.yaml"))
    finished = read_run(work.path).steps
    notes = [
        f"{member.id} was measured at {_measured(work, member)}, beyond the budget"
        for member in front
        if member not in kept
    ]
    if "search" in finished:
        notes += [*unanswered(work)]
    if "measure" in finished:
        notes += [only_predicted(name, reason) for name, reason in work.unmeasured]
    return RunResult(
        path=work.path,
        targets=tuple(map(str, work.context.targets)),
        target_names=work.context.target_names,
        confidence=work.settings.confidence,
        finished=finished,
        front=tuple(_front_member(work, member, tested.get(member.id)) for member in kept),
        answers=tuple(
            Answer(limits, found[0].id if found else None)
            for limits, found in zip(
                work.context.budgets.budget_sets, work.answers(1), strict=True
            )
        ),
        evaluations=len(read_records(work.path / "evaluations.jsonl")),
        exported=tuple(exported),
        report=report if report.exists() else None,
        notes=tuple(notes),
    )


def _front_member(work: Work, member: Member, tested: float | None) -> FrontMember:
    entry = member.entry
    first, *others = member.latencies
    return FrontMember(
        id=member.id,
        accuracy=entry[work.settings.metric],
        predicted_ms=first.predicted_ms,
        low_ms=first.low_ms,
        high_ms=first.high_ms,
        macs=entry["macs"],
        params=entry["params"],
        memory_mib=entry["memory_mib"],
        measured_ms=first.measured_ms,
        test_accuracy=tested,
        others=tuple(others),
    )


def unanswered(work: Work) -> list[str]:
    """What to say of questions that nothing on the front answers, though others are answered."""
    names, questions = work.context.target_names, work.context.budgets.budget_sets
    said = []
    for limits, found in zip(questions, work.answers(1), strict=True):
        if len(questions) > 1 and not found:
            words = limits_in_words(limits, names)
            predicted = [member for member in work.front() if member.predicted_within(limits)]
            said.append(
                f"none of the {len(predicted)} predicted within {words} was measured within it"
                if predicted
                else f"nothing that was evaluated is predicted within {words}: evaluate more "
                "(--evaluations), or raise it"
            )
    return said


def only_predicted(name: str, reason: str | None) -> str:
    """What to say of a target that nothing was measured on, and why."""
    said = f"latencies on {name} are predicted, none was measured"
    return f"{said}: {reason}" if reason else said


def _measured(work: Work, member: Member) -> str:
    """What was measured of a member."""
    names, several = work.context.target_names, len(work.context.targets) > 1
    return " and ".join(
        f"{latency.measured_ms:.3g} ms{f' on {name}' if several else ''}"
        for name, latency in zip(names, member.latencies, strict=True)
        if latency.measured_ms is not None
    )
