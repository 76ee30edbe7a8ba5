"""The figures of a report that show numbers, one function each: content in, PNG out.

A figure whose numbers are not there is None.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from nas.report.content import LatencyPair, ReportContent
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
from nas.result import FrontMember
from nas.search.protocol import Floats


def front(content: ReportContent) -> bytes | None:
    """Accuracy against latency: every evaluation, the front, what was measured and retrained."""
    if not content.records:
        return None
    figure, axes = new_figure(height=4.9)
    for records, marker, color, label in (
        (content.infeasible, "x", FAINT, "beyond a budget"),
        (content.feasible, "o", GREY, "evaluated"),
    ):
        if records:
            latency = [record.latency_ms for record in records]
            scores = [content.score(record) for record in records]
            label = f"{label} ({len(records)})"
            axes.scatter(latency, scores, s=14, marker=marker, c=color, lw=1.0, label=label)
    if content.front:
        _draw_front(axes, content.front, content.interval)
    limit = content.budgets.latency_ms
    if limit is not None:
        axes.axvline(limit, color=INK, lw=1.2, ls="--", label=f"budget, {limit:g} ms")
    axes.set_xlabel(f"latency, ms per batch\n{content.target}")
    axes.set_ylabel(f"{content.metric.replace('_', ' ')}, % (validation, shared weights)")
    percent(axes)
    handles, labels = axes.get_legend_handles_labels()
    order = sorted(range(len(labels)), key=lambda i: labels[i].startswith(("retrained", "budget")))
    listed = [handles[i] for i in order], [labels[i] for i in order]
    axes.legend(*listed, fontsize=8, framealpha=0.9, loc="lower right")
    return png(figure)


def hypervolume(content: ReportContent) -> bytes | None:
    """How much of the objectives' plane the search had covered after each evaluation."""
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


def latency(content: ReportContent) -> bytes | None:
    """Measured against predicted latency, with its interval."""
    pairs = content.latency_pairs
    measured = [member for member in content.front if member.measured_ms is not None]
    if not pairs and not measured:
        return None
    figure, axes = new_figure(5.6, 5.2)
    x = np.array([*(p.predicted_ms for p in pairs), *(m.predicted_ms for m in measured)])
    y = np.array([*(p.measured_ms for p in pairs), *(float(m.measured_ms or 0) for m in measured)])
    ends = np.array([min(x.min(), y.min()) * 0.9, max(x.max(), y.max()) * 1.1])
    axes.plot(ends, ends, color=INK, lw=1, label="equal")
    axes.fill_between(ends, ends * 0.9, ends * 1.1, color=LIGHT, alpha=0.5, lw=0, label="± 10 %")
    shown: list[tuple[Sequence[FrontMember | LatencyPair], str, str, str]] = [
        (pairs, BLUE, "o", "held-out networks"),
        (measured, VERMILLION, "D", "front"),
    ]
    for chosen, color, marker, label in shown:
        if chosen:
            axes.errorbar(
                [each.predicted_ms for each in chosen],
                [float(each.measured_ms or 0) for each in chosen],
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
    """Accuracy of children on the shared weights over the epochs of the supernet's training."""
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
            label = f"{name} children" if name == "random" else f"{name} child"
            values = [entry[name] for entry in curve]
            axes.plot(epochs, values, color=color, ls=line, marker=marker, ms=4, label=label)
    axes.set_xlabel("epoch")
    axes.set_ylabel("validation accuracy, %")
    percent(axes)
    axes.legend(loc="lower right")
    return png(figure)


def _draw_front(axes: Axes, front: Sequence[FrontMember], interval: str) -> None:
    """Steps through the predictions, their intervals, and what was measured and retrained."""
    x, y = [m.predicted_ms for m in front], [m.accuracy for m in front]
    axes.step(x, y, where="post", color=BLUE, lw=1.5, alpha=0.7)
    label = f"front, predicted with {interval}"
    bars: dict[str, Any] = {"xerr": _whiskers(front), "elinewidth": 1, "capsize": 2}
    axes.errorbar(x, y, **bars, fmt="o", color=BLUE, ms=5, label=label)
    measured = [m for m in front if m.measured_ms is not None]
    if measured:
        x, y = [_latency(m) for m in measured], [m.accuracy for m in measured]
        look: dict[str, Any] = {"marker": "D", "facecolors": "none", "edgecolors": VERMILLION}
        axes.scatter(x, y, **look, s=42, lw=1.5, zorder=4, label="front, measured")
    retrained = [m for m in front if m.test_accuracy is not None]
    if retrained:
        x, y = [_latency(m) for m in retrained], [m.test_accuracy or 0.0 for m in retrained]
        look = {"s": 150, "marker": "*", "color": GREEN, "edgecolors": "white"}
        axes.scatter(x, y, **look, zorder=5, label="retrained, on the test split")


def _latency(member: FrontMember) -> float:
    """As measured where it was."""
    return member.predicted_ms if member.measured_ms is None else member.measured_ms


def _whiskers(points: Sequence[FrontMember | LatencyPair]) -> Floats:
    """The interval around each prediction, as lengths to either side: (2, n)."""
    below = [max(0.0, p.predicted_ms - p.low_ms) for p in points]
    above = [max(0.0, p.high_ms - p.predicted_ms) for p in points]
    return np.array([below, above])
