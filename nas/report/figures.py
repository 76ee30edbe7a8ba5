"""The figures of a report that show numbers, one function each: content in, PNG out.

A figure whose numbers are not there is None.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from nas.report.content import ReportContent
from nas.report.style import (
    BLUE,
    FAINT,
    GREEN,
    GREY,
    INK,
    LIGHT,
    ORANGE,
    PURPLE,
    VERMILLION,
    new_figure,
    percent,
    png,
)
from nas.result import Latency
from nas.search.front import non_dominated
from nas.search.protocol import Floats

FAR = 2.0
"""A budget beyond this many times the slowest latency is named instead of drawn."""


def front(content: ReportContent, target: int = 0) -> bytes | None:
    """Accuracy against latency on a target: evaluations, front, what was measured, retrained."""
    if not content.records:
        return None
    figure, axes = new_figure(height=4.9)
    for records, marker, color, label in (
        (content.infeasible, "x", FAINT, "beyond a budget"),
        (content.feasible, "o", GREY, "evaluated"),
    ):
        if records:
            latency = [record.latencies[target].predicted_ms for record in records]
            scores = [record.score(content.metric) for record in records]
            label = f"{label} ({len(records)})"
            axes.scatter(latency, scores, s=14, marker=marker, c=color, lw=1.0, label=label)
    if content.front:
        _draw_front(axes, content, target)
    _draw_budgets(axes, content, target)
    axes.set_xlabel(f"latency, ms per batch\n{content.targets[target].words}")
    axes.set_ylabel(f"{content.metric.replace('_', ' ')}, % (validation, shared weights)")
    percent(axes)
    handles, labels = axes.get_legend_handles_labels()
    last = ("best within", "retrained", "budget")
    order = sorted(range(len(labels)), key=lambda i: labels[i].startswith(last))
    listed = [handles[i] for i in order], [labels[i] for i in order]
    axes.legend(*listed, fontsize=8, framealpha=0.9, loc="lower right")
    return png(figure)


def hypervolume(content: ReportContent) -> bytes | None:
    """The hypervolume that the search had reached after each evaluation."""
    curves = content.hypervolumes
    if not curves:
        return None
    figure, axes = new_figure()
    styles = {"random": (GREY, "--")}
    for name, curve in curves.items():
        color, line = styles.get(name, (BLUE, "-"))
        axes.plot(np.arange(1, len(curve) + 1), curve, color=color, ls=line, lw=2, label=name)
    axes.set_xlabel("evaluations")
    axes.set_ylabel("hypervolume, share of the reference box")
    axes.set_ylim(bottom=0)
    axes.legend(loc="lower right")
    return png(figure)


def latency(content: ReportContent, target: int = 0) -> bytes | None:
    """Measured against predicted latency on a target, with its interval."""
    pairs = content.held_out_on(target)
    on_target = [member.latencies[target] for member in content.front]
    measured = [latency for latency in on_target if latency.measured_ms is not None]
    if not pairs and not measured:
        return None
    figure, axes = new_figure(5.6, 5.2)
    x = np.array([latency.predicted_ms for latency in (*pairs, *measured)])
    y = np.array([latency.ms for latency in (*pairs, *measured)])
    ends = np.array([min(x.min(), y.min()) * 0.9, max(x.max(), y.max()) * 1.1])
    axes.plot(ends, ends, color=INK, lw=1, label="equal")
    axes.fill_between(ends, ends * 0.9, ends * 1.1, color=LIGHT, alpha=0.5, lw=0, label="± 10 %")
    shown: list[tuple[Sequence[Latency], str, str, str]] = [
        (pairs, BLUE, "o", "held-out networks"),
        (measured, VERMILLION, "D", "front"),
    ]
    for chosen, color, marker, label in shown:
        if chosen:
            axes.errorbar(
                [each.predicted_ms for each in chosen],
                [each.ms for each in chosen],
                xerr=_whiskers(chosen),
                fmt=marker,
                color=color,
                ecolor=color,
                elinewidth=0.8,
                alpha=0.8,
                ms=4,
                label=f"{label} ({len(chosen)}), {content.interval}",
            )
    axes.set_xlim(*ends)
    axes.set_ylim(*ends)
    axes.set_aspect("equal")
    axes.set_xlabel("predicted latency, ms per batch")
    axes.set_ylabel("measured latency, ms per batch")
    axes.legend(fontsize=8, loc="upper left")
    return png(figure)


def supernet(content: ReportContent) -> bytes | None:
    """Mean accuracy of children with the shared weights over the epochs of the training."""
    curve = content.supernet_curve
    if not curve:
        return None
    figure, axes = new_figure()
    epochs = [entry["epoch"] for entry in curve]
    for name, color, line, marker in (
        ("largest", BLUE, "-", "o"),
        ("random", ORANGE, "--", "s"),
        ("smallest", PURPLE, ":", "^"),
    ):
        if all(name in entry for entry in curve):
            values = [entry[name] for entry in curve]
            axes.plot(epochs, values, color=color, ls=line, marker=marker, ms=4, label=name)
    axes.set_xlabel("epoch")
    axes.set_ylabel("validation accuracy of children, %")
    percent(axes)
    axes.legend(loc="lower right")
    return png(figure)


def _draw_front(axes: Axes, content: ReportContent, target: int) -> None:
    """Steps through the predictions, their intervals, and what was measured and retrained."""
    front = [(member, member.latencies[target]) for member in content.front]
    x, y = [at.predicted_ms for _, at in front], [m.score(content.metric) for m, _ in front]
    steps = sorted({(x[i], y[i]) for i in _beaten_by_none(x, y)})
    axes.step(*zip(*steps, strict=True), where="post", color=BLUE, lw=1.5, alpha=0.7)
    corrected = _corrected_whiskers(content)
    what = "predicted" if corrected is None else "corrected scores"
    label = f"front, {what} with {content.interval}"
    bars: dict[str, Any] = {
        "elinewidth": 1,
        "capsize": 2,
        "xerr": _whiskers([at for _, at in front]),
        "yerr": corrected,
    }
    axes.errorbar(x, y, **bars, fmt="o", color=BLUE, ms=5, label=label)
    measured = [(m.score(content.metric), at.ms) for m, at in front if at.measured_ms is not None]
    if measured:
        y, x = map(list, zip(*measured, strict=True))
        look: dict[str, Any] = {"marker": "D", "facecolors": "none", "edgecolors": VERMILLION}
        axes.scatter(x, y, **look, s=42, lw=1.5, zorder=4, label="front, measured")
    best = [(m.score(content.metric), at.ms) for m, at in front if m.id in content.best_ids]
    if best:
        y, x = map(list, zip(*best, strict=True))
        look = {"marker": "s", "facecolors": "none", "edgecolors": INK}
        axes.scatter(x, y, **look, s=120, lw=1.2, zorder=4, label="best within a budget")
    retrained = [(m.test_accuracy, at.ms) for m, at in front if m.test_accuracy is not None]
    if retrained:
        y, x = map(list, zip(*retrained, strict=True))
        look = {"s": 150, "marker": "*", "color": GREEN, "edgecolors": "white"}
        axes.scatter(x, y, **look, zorder=5, label="retrained, on the test split")


def _draw_budgets(axes: Axes, content: ReportContent, target: int) -> None:
    """A line at each limit on the target; limits far beyond every point are only named."""
    asked = (limits[target] for limits in content.budgets.budget_sets)
    limits = sorted({limit for limit in asked if limit is not None})
    slowest = max(record.latencies[target].predicted_ms for record in content.records)
    drawn = [limit for limit in limits if limit <= FAR * slowest]
    for limit in drawn:
        axes.axvline(limit, color=INK, lw=1.2, ls="--")
    if limits:
        listed = ", ".join(f"{limit:g}" for limit in limits)
        label = f"budget{'s' if len(limits) > 1 else ''}, {listed} ms"
        if len(drawn) < len(limits):
            first = f"{limits[len(drawn)]:g} ms is " if len(limits) > 1 else ""
            label += f" ({first}beyond the right edge)"
        axes.plot([], [], color=INK, lw=1.2, ls="--", label=label)


def _beaten_by_none(x: Sequence[float], y: Sequence[float]) -> list[int]:
    """The points that no other point beats in both accuracy and latency."""
    points = np.array([x, [-value for value in y]]).T
    return [int(i) for i in np.flatnonzero(non_dominated(points))]


def _whiskers(points: Sequence[Latency]) -> Floats:
    """The interval around each prediction, as lengths to either side: (2, n)."""
    below = [max(0.0, p.predicted_ms - p.low_ms) for p in points]
    above = [max(0.0, p.high_ms - p.predicted_ms) for p in points]
    return np.array([below, above])


def _corrected_whiskers(content: ReportContent) -> Floats | None:
    """The intervals of the front's corrected scores, as above; None if they are not drawn."""
    scores = [member.corrected for member in content.front]
    known = [each for each in scores if each is not None and each.metric == content.metric]
    if not known or len(known) < len(scores):
        return None
    return np.array([[s.value - s.low for s in known], [s.high - s.value for s in known]])
