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

    terminal = Terminal(stderr=True)
    bars = progress.Progress(
        progress.TextColumn("  {task.description}"),
        progress.BarColumn(bar_width=30),
        progress.MofNCompleteColumn(),
        progress.TimeElapsedColumn(),
        progress.TextColumn("left:"),
        progress.TimeRemainingColumn(),
        progress.TextColumn("{task.fields[note]}", markup=False),
        console=terminal,
        transient=True,
        disable=not terminal.is_interactive,  # or a log file would end in an empty line
    )
    with contextlib.redirect_stdout(sys.stderr), bars:
        yield Console(bars)


def show_result(result: RunResult, as_json: bool) -> None:
    """A run: its front and the stock networks as tables, what to use, and where everything is."""
    if as_json:
        return show_json(result.to_dict())
    if result.front:
        show_table(
            f"Front on {' and on '.join(target.words for target in result.targets)}",
            *_front_table(result),
        )
    if len(result.answers) > 1:
        show_table("The best network for each budget", *_answers_table(result))
    if result.stock:
        show_table("Stock networks, trained on the same images", *_stock_table(result))
    if result.validation_images:
        show_lines([_explained(result)])
    lines = [*_recommended(result), *result.notes, f"Run: {result.path}"]
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
        table.add_column(column, overflow="fold", no_wrap=column in ("id", "network"))
    for row in rows:
        table.add_row(*row)
    Terminal(markup=False, highlight=False).print(table)


def _front_table(result: RunResult) -> tuple[list[str], list[list[str]]]:
    """Columns and rows. With several targets only what differs between them, to fit a terminal."""
    from nas.units import format_count

    several = len(result.targets) > 1
    columns = ["id", result.metric.replace("_", " ")]
    rows = [[member.id, _scored(result, member)] for member in result.front]
    for number, target in enumerate(result.targets):
        latencies = [member.latencies[number] for member in result.front]
        on = f" on {target.name}" if several else ""
        columns.append(f"predicted ms ({100 * result.confidence:g} %){on}")
        for row, at in zip(rows, latencies, strict=True):
            row.append(f"{at.predicted_ms:.3g}\n({at.low_ms:.3g} to {at.high_ms:.3g})")
        if not several or any(at.measured_ms is not None for at in latencies):
            columns.append(f"measured ms{on}")
            for row, at in zip(rows, latencies, strict=True):
                row.append("-" if at.measured_ms is None else f"{at.measured_ms:.3g}")
    if any(member.corrected is not None for member in result.front):
        columns.append("corrected")
        for row, member in zip(rows, result.front, strict=True):
            row.append(str(member.corrected or "-").replace(" (", "\n("))
    if not several and not result.test_images:
        columns += ["params", "MACs"]
        for row, member in zip(rows, result.front, strict=True):
            row += [format_count(member.params), format_count(member.macs)]
    if any(member.shared_test_accuracy is not None for member in result.front):
        columns.append("test accuracy")
        for row, member in zip(rows, result.front, strict=True):
            row.append(_share(member.shared_test_accuracy, result.test_images))
    for row, member in zip(rows, result.front, strict=True):
        row.append(_share(member.test_accuracy, result.test_images))
    return [*columns, "trained alone"], rows


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
        tested = _share(member.test_accuracy, result.test_images)
        rows.append([within, member.id, _scored(result, member), *latencies, tested])
    return [*columns, "trained alone"], rows


def _stock_table(result: RunResult) -> tuple[list[str], list[list[str]]]:
    """Columns and rows, fastest first."""
    from nas.units import format_count

    several = len(result.targets) > 1
    columns = ["network", "start"]
    columns += [f"ms{f' on {target.name}' if several else ''}" for target in result.targets]
    rows = []
    for stock in sorted(result.stock, key=lambda stock: [at.ms for at in stock.latencies]):
        known = {at.target: at for at in stock.latencies}
        latencies = [
            f"{at.ms:.3g}{'' if at.measured else ' (predicted)'}" if at else "-"
            for at in (known.get(target.name) for target in result.targets)
        ]
        rows.append(
            [
                f"{stock.name}\n{stock.resolution} px",
                stock.start,
                *latencies,
                format_count(stock.params),
                _share(stock.validation_accuracy, result.validation_images),
                _share(stock.test_accuracy, result.test_images),
            ]
        )
    return [*columns, "params", "accuracy", "test accuracy"], rows


def _recommended(result: RunResult) -> list[str]:
    """What to use within each budget, why, and whether the search paid."""
    from nas.search.objectives import limits_in_words

    names, lines = [target.name for target in result.targets], []
    for each in result.recommended:
        within = limits_in_words(each.limits_ms, names)
        title = f"Recommended within {within}" if within else "Recommended"
        said = (each.reason, each.verdict, each.path)
        lines.append(f"{title}: {each.id or 'none'}")
        lines += [f"  {line}" for line in said if line]
    return lines


def _explained(result: RunResult) -> str:
    """What the accuracies are of."""
    tested = f", test accuracy on {result.test_images}" if result.test_images else ""
    return (
        f"Accuracy is on {result.validation_images} validation images{tested}, with 90 % "
        "intervals; 'trained alone' is test accuracy after that."
    )


def _scored(result: RunResult, member: FrontMember) -> str:
    """The score that the search maximised; a plain accuracy with its interval."""
    if result.metric == "balanced_accuracy":
        return f"{member.balanced_accuracy:.1%}"
    return _share(member.accuracy, result.validation_images)


def _share(accuracy: float | None, images: int) -> str:
    """An accuracy with its interval below it, to fit a terminal."""
    from nas.units import format_accuracy

    return "-" if accuracy is None else format_accuracy(accuracy, images).replace(" (", "\n(")
