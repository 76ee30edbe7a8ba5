"""Progress on stderr, results on stdout."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

    from nas.progress import Advance
    from nas.result import FrontMember, Outcome, RunResult


class Console:
    """A `nas.progress.Progress` that a person watches."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars

    def step(self, name: str) -> None:
        """A heading."""
        self._bars.console.print(f"[bold cyan]{name}[/]", highlight=False)

    def say(self, message: str) -> None:
        """A line below the step's heading."""
        self._bars.console.print(f"  {message}", markup=False, highlight=False, soft_wrap=True)

    @contextlib.contextmanager
    def task(self, what: str, total: int) -> Iterator[Advance]:
        """A bar with the time that is left."""
        bar = self._bars.add_task(what, total=total, note="")
        yield lambda done, note: self._bars.update(bar, completed=done, note=note)
        self._bars.stop_task(bar)
        self._bars.update(bar, visible=False)


@contextlib.contextmanager
def working() -> Iterator[Console]:
    """Progress on stderr; what a library prints goes there too, stdout is for the result."""
    from rich import progress
    from rich.console import Console as Terminal

    bars = progress.Progress(
        progress.TextColumn("  {task.description}"),
        progress.BarColumn(bar_width=30),
        progress.MofNCompleteColumn(),
        progress.TimeElapsedColumn(),
        progress.TextColumn("left:"),
        progress.TimeRemainingColumn(),
        progress.TextColumn("{task.fields[note]}", markup=False),
        console=Terminal(stderr=True),
        transient=True,
    )
    with contextlib.redirect_stdout(sys.stderr), bars:
        yield Console(bars)


def show_result(result: RunResult, as_json: bool) -> None:
    """A run: its front as a table, and where everything is."""
    if as_json:
        return show_json(result.to_dict())
    if result.front:
        show_table(
            f"Front on {' and on '.join(target.words for target in result.targets)}",
            *_front_table(result),
        )
    if len(result.answers) > 1:
        show_table("The best network for each budget", *_answers_table(result))
    lines = [*result.notes, f"Run: {result.path}"]
    lines += [f"Exported: {path}" for path in result.exported]
    lines += [f"Report: {result.report}"] if result.report else []
    return show_lines(lines)


def show_outcome(outcome: Outcome, as_json: bool) -> None:
    """What any other command made."""
    if as_json:
        show_json(outcome.document)
    else:
        show_lines(outcome.lines)


def show_json(document: Any) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(json.dumps(document, indent=2, allow_nan=False) + "\n")


def show_lines(lines: Sequence[str]) -> None:
    """Lines on stdout, as they are."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))


def show_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on stdout."""
    from rich.console import Console as Terminal
    from rich.table import Table

    table = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column == "id")
    for row in rows:
        table.add_row(*row)
    Terminal(markup=False, highlight=False).print(table)


def _front_table(result: RunResult) -> tuple[list[str], list[list[str]]]:
    """Columns and rows. With several targets only what differs between them, to fit a terminal."""
    from nas.units import format_count

    several = len(result.targets) > 1
    score = result.metric
    columns = ["id", score.replace("_", " ")]
    rows = [[member.id, f"{member.score(score):.2%}"] for member in result.front]
    for number, target in enumerate(result.targets):
        latencies = [member.latencies[number] for member in result.front]
        on, space = (f" on {target.name}", "\n") if several else ("", " ")
        columns.append(f"predicted ms ({100 * result.confidence:g} %){on}")
        for row, at in zip(rows, latencies, strict=True):
            row.append(f"{at.predicted_ms:.3g}{space}({at.low_ms:.3g} to {at.high_ms:.3g})")
        if not several or any(at.measured_ms is not None for at in latencies):
            columns.append(f"measured ms{on}")
            for row, at in zip(rows, latencies, strict=True):
                row.append("-" if at.measured_ms is None else f"{at.measured_ms:.3g}")
    if not several:
        columns += ["params", "MACs"]
        for row, member in zip(rows, result.front, strict=True):
            row += [format_count(member.params), format_count(member.macs)]
    for row, member in zip(rows, result.front, strict=True):
        row.append(_tested(member))
    return [*columns, "test accuracy"], rows


def _answers_table(result: RunResult) -> tuple[list[str], list[list[str]]]:
    """Columns and rows; latencies as measured where they were."""
    from nas.search.objectives import limits_in_words

    names = [target.name for target in result.targets]
    front = {member.id: member for member in result.front}
    measured = [
        any(member.latencies[number].measured_ms is not None for member in result.front)
        for number in range(len(names))
    ]
    columns = ["within", "id", result.metric.replace("_", " ")]
    columns += [
        f"{'measured' if known else 'predicted'} ms{f' on {name}' if len(names) > 1 else ''}"
        for name, known in zip(names, measured, strict=True)
    ]
    rows = []
    for answer in result.answers:
        within = limits_in_words(answer.limits_ms, names).replace(" and ", "\n")
        member = front.get(answer.best or "")
        if member is None:
            rows.append([within, "none", *["-"] * (len(columns) - 1)])
            continue
        latencies = [f"{at.ms:.3g}" for at in member.latencies]
        rows.append(
            [within, member.id, f"{member.score(result.metric):.2%}", *latencies, _tested(member)]
        )
    return [*columns, "test accuracy"], rows


def _tested(member: FrontMember) -> str:
    return "-" if member.test_accuracy is None else f"{member.test_accuracy:.2%}"
