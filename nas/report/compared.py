"""Our networks beside stock ones: a figure and a table of test accuracy against latency."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle

from matplotlib.axes import Axes

from nas.report.content import ReportContent
from nas.report.style import BLUE, GREEN, INK, ORANGE, VERMILLION, new_figure, percent, png
from nas.report.tables import NOTHING, Table, milliseconds, share
from nas.units import format_count
from supernet.scores import accuracy_interval

TRAINED = "trained alone"
OURS = {
    "shared weights": (BLUE, "o", 5, "front, the supernet's weights"),
    TRAINED: (GREEN, "*", 12, "trained alone"),
}
"""Colour, marker, size and name of each kind of our networks."""
STOCK_COLORS = {"pretrained": VERMILLION, "scratch": ORANGE}
STOCK_MARKERS = "sD^vP"
"""Each stock network has its own, because names beside the points would lie upon each other."""
WORDS = {
    "shared weights": "the supernet's",
    TRAINED: "its own",
    "pretrained": "pretrained",
    "scratch": "from scratch",
}
"""Where the weights of each kind come from."""


@dataclass(frozen=True)
class Point:
    """A network with its test accuracy, and its latency on each target where it is known."""

    name: str
    kind: str
    """A key of `WORDS`."""
    accuracy: float
    validation: float
    ms: Sequence[float | None]
    measured: Sequence[bool]
    params: int

    @property
    def title(self) -> str:
        """What its row is called: a network of ours can be there twice."""
        return f"{self.name}, {self.kind}" if self.kind == TRAINED else self.name


def points(content: ReportContent) -> list[Point]:
    """Every network that was scored on the test split, ours first."""
    found = []
    for member in content.front:
        ms = [at.ms for at in member.latencies]
        measured = [at.measured_ms is not None for at in member.latencies]
        for kind, accuracy, validation in (
            ("shared weights", member.shared_test_accuracy, member.accuracy),
            (TRAINED, member.test_accuracy, member.trained_accuracy),
        ):
            if accuracy is not None:
                validation = accuracy if validation is None else validation
                found.append(
                    Point(member.id, kind, accuracy, validation, ms, measured, member.params)
                )
    for stock in content.stock:
        if stock.test_accuracy is not None:
            known = {at.target: at for at in stock.latencies}
            at = [known.get(target.name) for target in content.targets]
            found.append(
                Point(
                    stock.title,
                    stock.start,
                    stock.test_accuracy,
                    stock.validation_accuracy,
                    [None if each is None else each.ms for each in at],
                    [each is not None and each.measured for each in at],
                    stock.params,
                )
            )
    return found


def figure(content: ReportContent, target: int = 0) -> bytes | None:
    """Test accuracy with its 90 % interval against latency; None before the comparison."""
    known = [each for each in points(content) if each.ms[target] is not None]
    if not known or not content.test_images:
        return None
    drawn, axes = new_figure(height=4.9)
    for kind, (color, marker, size, label) in OURS.items():
        if chosen := [each for each in known if each.kind == kind]:
            _draw(axes, content, chosen, target, color, marker, size, label)
    stock = [each for each in known if each.kind in STOCK_COLORS]
    for each, marker in zip(stock, cycle(STOCK_MARKERS), strict=False):
        label = f"{each.name}, {WORDS[each.kind]}"
        _draw(axes, content, [each], target, STOCK_COLORS[each.kind], marker, 6, label)
    if best := _recommended(content, known):
        x, y = [each.ms[target] for each in best], [each.accuracy for each in best]
        look = {"facecolors": "none", "edgecolors": INK, "marker": "o"}
        axes.scatter(x, y, s=190, lw=1.4, zorder=5, label="recommended", **look)  # type: ignore[arg-type]
    for limits in content.budgets.budget_sets:
        if (limit := limits[target]) is not None:
            axes.axvline(limit, color=INK, lw=1.2, ls="--")
    axes.set_xlim(left=0)
    axes.set_xlabel(f"latency, ms per batch\n{content.targets[target].words}")
    axes.set_ylabel(f"accuracy on {content.test_images} test images, %")
    percent(axes)
    axes.legend(fontsize=8, framealpha=0.9, loc="best")
    return png(drawn)


def table(content: ReportContent) -> Table:
    """The same networks as rows, the most accurate first; what is recommended in bold."""
    latencies = [f"ms{content.on(target)}" for target in range(len(content.targets))]
    head = ("network", "weights", "test accuracy", "validation", *latencies, "parameters")
    rows = [
        (
            each.title,
            WORDS[each.kind],
            share(each.accuracy, content.test_images),
            share(each.validation, content.validation_images),
            *(
                NOTHING
                if ms is None
                else f"{milliseconds(ms)}{'' if measured else ' (predicted)'}"
                for ms, measured in zip(each.ms, each.measured, strict=True)
            ),
            format_count(each.params),
        )
        for each in sorted(points(content), key=lambda point: -point.accuracy)
    ]
    caption = "All networks on the same images, with 90 % intervals."
    if any(any(each.measured) for each in points(content)):
        caption += (
            " Latencies that are not called predicted were measured; finished networks and stock "
            "networks took turns."
        )
    best = _recommended(content, points(content))
    return Table(caption, head, rows, best[0].title if best else None)


def _recommended(content: ReportContent, known: Sequence[Point]) -> list[Point]:
    """The recommended networks, with the weights that they are recommended with."""
    wanted = {each.id for each in content.recommended}
    chosen = {each.name: each for each in known if each.name in wanted}
    chosen |= {
        name: each for each in known if (name := each.name) in wanted and each.kind == TRAINED
    }
    return list(chosen.values())


def _draw(
    axes: Axes,
    content: ReportContent,
    chosen: Sequence[Point],
    target: int,
    color: str,
    marker: str,
    size: float,
    label: str,
) -> None:
    x, y = [each.ms[target] or 0.0 for each in chosen], [each.accuracy for each in chosen]
    ends = [accuracy_interval(each.accuracy, content.test_images) for each in chosen]
    below = [accuracy - low for accuracy, (low, _) in zip(y, ends, strict=True)]
    above = [high - accuracy for accuracy, (_, high) in zip(y, ends, strict=True)]
    axes.errorbar(
        x, y, yerr=[below, above], fmt=marker, color=color, ms=size, elinewidth=0.8,
        alpha=0.85, capsize=2, label=label, zorder=4 if marker == "*" else 3,
    )  # fmt: skip
