"""The tables of the page; the first cell of a row is its header."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nas.report.content import ReportContent
from nas.result import FrontMember
from nas.units import format_accuracy, format_count, format_mib

NOTHING = "\N{EN DASH}"


@dataclass(frozen=True)
class Table:
    """Cells as they are shown.

    Attributes:
        head: One cell per column.
        chosen: The first cell of the row in bold.
        summary: What stands for the table of names and words until a reader opens it.
    """

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    chosen: str | None = None
    summary: str = ""


def front_table(content: ReportContent) -> Table:
    """The front, fastest first; the drawn architecture in bold."""
    rows = [(member.id, *_cells(content, member)) for member in content.front]
    chosen = None if content.best is None else content.best.id
    caption = f"Milliseconds per batch on {content.target}. Validation scores are those of the "
    head = ("network", *_head(content))
    caption += "supernet's shared weights."
    if _is_corrected(content):
        caption += (
            " Corrected is the score that is expected after a short training alone, with its "
            "90 % interval."
        )
    return Table(caption, head, rows, chosen)


def answers_table(content: ReportContent) -> Table:
    """The best network within each set of budgets."""
    front = {member.id: member for member in content.front}
    head = ("within", "best network", *_head(content))
    rows = [
        (content.within(answer), answer.best, *_cells(content, front[answer.best]))
        if answer.best
        else (content.within(answer), "none was found", *[NOTHING] * len(_head(content)))
        for answer in content.answers
    ]
    return Table("Each is the most accurate network of the front within the budgets.", head, rows)


def surrogates_table(content: ReportContent) -> Table:
    """How well surrogates predict what they have not seen."""
    rows = [(fit.name, f"{fit.spearman:.2f}", f"{fit.covered:.0%}") for fit in content.surrogates]
    caption = (
        "How well surrogates predict the error of evaluated architectures: each third by a fit to "
        "the other two."
    )
    head = ("surrogate", "rank correlation", "within its 90 % interval")
    return Table(caption, head, rows)


def retrained_table(content: ReportContent) -> Table:
    """How the networks that were trained to the end were trained, and their scores."""
    head = ("network", "test accuracy", "balanced", "validation", "from", "epochs", "seed", "took")
    judged, tested = content.validation_images, content.test_images
    rows = [
        (
            result.id,
            share(result.test.accuracy, tested),
            f"{result.test.balanced_accuracy:.1%}",
            share(result.validation.accuracy, judged),
            "scratch" if result.from_scratch else "shared weights",
            str(result.recipe.epochs),
            str(result.seed),
            f"{result.seconds:.0f} s",
        )
        for result in content.retrained
    ]
    caption = "Networks that were trained alone, with 90 % intervals."
    return Table(caption, head, rows)


def workers_table(content: ReportContent) -> Table:
    """What the workers of a cluster did."""
    counts = ("workers", "nodes", "evaluations", "seconds", "per second", "busy", "failures")
    rows = [
        (
            str(done["search"]),
            str(done["workers"]),
            str(len(done["nodes"])),
            f"{done['evaluations']:,}",
            f"{done['seconds']:.0f}",
            f"{done['evaluations'] / max(done['seconds'], 1e-9):.3g}",
            f"{done['worker_seconds'] / max(done['seconds'] * done['workers'], 1e-9):.0%}",
            str(len(done["failures"])),
        )
        for done in content.on_cluster
    ]
    caption = "Evaluations on a Ray cluster; busy is the share of time that the workers evaluated."
    return Table(caption, ("search", *counts), rows)


def settings_table(content: ReportContent) -> Table:
    """Every setting of the run."""
    return _words("Settings", content.settings)


def environment_table(content: ReportContent) -> Table:
    """What the run was made with."""
    flat: dict[str, Any] = {}
    for name, value in content.environment.items():
        flat |= dict(value) if isinstance(value, Mapping) else {name: value}
    return _words("Environment", flat)


def _head(content: ReportContent) -> list[str]:
    """The columns that describe a member of the front."""
    latencies = [
        f"{column}{content.on(target)}"
        for target in range(len(content.targets))
        for column in ("predicted ms", content.interval, "measured ms")
    ]
    score = f"{content.metric.replace('_', ' ')}, validation"
    counted = ["MACs", "parameters", "activations"]
    corrected = ["corrected"] if _is_corrected(content) else []
    return [score, *corrected, *latencies, *counted, "test accuracy, trained alone"]


def _cells(content: ReportContent, member: FrontMember) -> list[str]:
    """One member in these columns."""
    cells = [_score(content, member)]
    if _is_corrected(content):
        cells.append(_corrected(member))
    for latency in member.latencies:
        cells += [
            milliseconds(latency.predicted_ms),
            f"{milliseconds(latency.low_ms)} to {milliseconds(latency.high_ms)}",
            NOTHING if latency.measured_ms is None else milliseconds(latency.measured_ms),
        ]
    cells += [format_count(member.macs), format_count(member.params)]
    cells += [format_mib(member.memory_mib)]
    return [*cells, share(member.test_accuracy, content.test_images)]


def _is_corrected(content: ReportContent) -> bool:
    """Whether the front was drawn from corrected scores."""
    return any(member.corrected is not None for member in content.front)


def _corrected(member: FrontMember) -> str:
    """The corrected score with its interval."""
    return NOTHING if member.corrected is None else str(member.corrected)


def _score(content: ReportContent, member: FrontMember) -> str:
    """The score that the search maximised; a plain accuracy with its interval."""
    if content.metric == "balanced_accuracy":
        return f"{member.balanced_accuracy:.1%}"
    return share(member.accuracy, content.validation_images)


def milliseconds(value: float) -> str:
    """Three digits, so that a column's numbers can be compared."""
    return f"{value:#.3g}".rstrip(".")


def share(accuracy: float | None, images: int) -> str:
    """An accuracy with its 90 % interval, if the number of images is known."""
    return NOTHING if accuracy is None else format_accuracy(accuracy, images)


def _words(title: str, values: Mapping[str, Any]) -> Table:
    rows = [(name, _shown(value)) for name, value in values.items()]
    return Table("", ("name", "value"), rows, summary=title)


def _shown(value: object) -> str:
    if value is None:
        return "not set"
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple)) and all(isinstance(each, str) for each in value):
        return " ".join(value)
    return json.dumps(value, default=str)
