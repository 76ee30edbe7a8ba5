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


FRONT_COLUMNS = (
    "id",
    "accuracy",
    "predicted ms ({:g} %)",
    "measured ms",
    "params",
    "MACs",
    "test accuracy",
)


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
            f"Front on {result.target}",
            [column.format(100 * result.confidence) for column in FRONT_COLUMNS],
            [_front_row(member) for member in result.front],
        )
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


def _front_row(member: FrontMember) -> tuple[str, ...]:
    from nas.units import format_count

    return (
        member.id,
        f"{member.accuracy:.2%}",
        f"{member.predicted_ms:.3g} ({member.low_ms:.3g} to {member.high_ms:.3g})",
        "-" if member.measured_ms is None else f"{member.measured_ms:.3g}",
        format_count(member.params),
        format_count(member.macs),
        "-" if member.test_accuracy is None else f"{member.test_accuracy:.2%}",
    )
