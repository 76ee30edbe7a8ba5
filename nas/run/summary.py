"""The result of a run so far, read from its folder."""

from __future__ import annotations

from pathlib import Path

from nas.errors import RunError
from nas.result import (
    FrontMember,
    NamedTarget,
    RunResult,
    StockNetwork,
    shown_metric,
)
from nas.run.baselines import folder_of, stock_results
from nas.run.compare import Comparison, read_comparison
from nas.run.context import Context
from nas.run.folder import read_run
from nas.run.front import Front
from nas.run.inputs import validation_images
from nas.run.measure import (
    only_predicted,
    read_measured,
    unanswered,
    unlike_predicted,
    with_measured,
)
from nas.run.recommend import Finished, recommend
from nas.run.trained import results_of
from nas.run.verify import verified_members, verified_networks
from nas.search.engine import read_records
from nas.search.front_file import read_front
from nas.units import format_ms
from supernet.scores import difference


def members_of(path: Path) -> list[FrontMember]:
    """Members of the run's front so far, by corrected scores if it has any.

    There are none before the search has finished.
    """
    file, verified = path / "front.json", verified_members(path)
    if verified is not None:
        return verified
    return read_front(file) if file.exists() else []


def no_front(path: Path) -> RunError:
    """The error of a command that needs members of a run without any."""
    return RunError(
        f"'{path}' has no front yet: its search has not finished, or found nothing. "
        f"Continue with: nas resume {path}"
    )


def front_of(path: Path, context: Context) -> Front:
    """The run's front so far; it has no members before the search has finished."""
    front = Front(tuple(members_of(path)), context.budgets, context.metric)
    front = with_measured(front, read_measured(path / "measured.json"))
    return read_comparison(path).applied(front.with_retrained(results_of(path)))


def result_of(path: Path, context: Context) -> RunResult:
    """The run's result so far."""
    front, finished = front_of(path, context), read_run(path).steps
    report, comparison = path / "report.html", read_comparison(path)
    exported = sorted(found.parent for found in path.glob("networks/*/architecture.yaml"))
    stock = _stock(path, comparison)
    judged = validation_images(path)
    known = Finished(
        path, front, results_of(path), comparison, stock, context.target_names,
        context.settings.confidence, judged,
    )  # fmt: skip
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
        notes=tuple(_notes(path, front, finished, context)),
        confidence=context.settings.confidence,
        metric=shown_metric(context.metric),
        recommended=tuple(recommend(known)) if comparison.test_images else (),
        stock=stock,
        validation_images=judged,
        test_images=comparison.test_images,
    )


def _stock(path: Path, comparison: Comparison) -> tuple[StockNetwork, ...]:
    """The stock networks of a run, with what the comparison says of them."""
    found = []
    for result in stock_results(path):
        folder = folder_of(path, result)
        compared = comparison.networks.get(folder.name)
        found.append(
            StockNetwork(
                name=result.name,
                resolution=result.side,
                pretrained=result.pretrained,
                epochs=result.epochs,
                validation_accuracy=result.validation.accuracy,
                test_accuracy=None if compared is None else compared.accuracy,
                latencies=() if compared is None else tuple(compared.ms.values()),
                params=result.params,
                seconds=result.seconds,
                path=folder,
            )
        )
    return tuple(found)


def _notes(path: Path, front: Front, finished: tuple[str, ...], context: Context) -> list[str]:
    """Notes for the person who reads the front."""
    names = context.target_names
    kept = front.kept()
    notes = [
        f"{member.id} was measured at {_measured(member)}, beyond the budget"
        for member in front.members
        if member not in kept
    ]
    if count := verified_networks(path):
        notes.append(
            f"the front is drawn from what the supernet says, corrected by {count} networks "
            "trained alone; each corrected score has its 90 % interval"
        )
    if "search" in finished:
        notes += unanswered(front, names)
    if "measure" in finished:
        targets = read_measured(path / "measured.json")
        notes += [*only_predicted(targets), *unlike_predicted(front, targets, context.settings)]
    return [*notes, *_gains(front, path), *_new_weights(path)]


def _gains(front: Front, path: Path) -> list[str]:
    """What training alone has added to each network that was trained alone."""
    comparison, said = read_comparison(path), []
    for member in front.members:
        before = comparison.shared.get(member.id)
        after = comparison.networks.get(member.id)
        if member.test_accuracy is None or before is None or after is None:
            continue
        gain = difference(after.right, before.right)
        said.append(
            f"{member.id}: {before.accuracy:.1%} of the test images with the shared weights, "
            f"{after.accuracy:.1%} after training alone ({100 * gain.value:+.1f} points, "
            f"{100 * gain.low:+.1f} to {100 * gain.high:+.1f})"
        )
    return said


def _new_weights(path: Path) -> list[str]:
    """A note on stock networks that had no published weights to start from."""
    new = [f"{each.name}" for each in stock_results(path) if each.pretrained is None]
    if not new:
        return []
    return [
        f"this machine has no published weights of {', '.join(dict.fromkeys(new))}, so they were "
        "trained from scratch: with such weights they would be better"
    ]


def _measured(member: FrontMember) -> str:
    """The measured latencies of a member."""
    several = len(member.latencies) > 1
    return " and ".join(
        f"{format_ms(latency.measured_ms)}{f' on {latency.target}' if several else ''}"
        for latency in member.latencies
        if latency.measured_ms is not None
    )
