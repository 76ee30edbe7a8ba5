"""Networks that were trained alone beside what the supernet says: a scatter and a table."""

from __future__ import annotations

from nas.ranking.agreement import Estimate
from nas.report.content import ReportContent
from nas.report.style import BLUE, INK, new_figure, percent, png
from nas.report.tables import Table
from supernet.scores import accuracy_interval


def figure(content: ReportContent) -> bytes | None:
    """Score when trained alone against score with the shared weights; None without any."""
    if content.ranking is None:
        return None
    networks = content.ranking.networks
    drawn, axes = new_figure(5.6, 4.8)
    x, y = [each.shared for each in networks], [each.alone for each in networks]
    bars = None
    if content.validation_images and content.ranking.metric == "accuracy":
        ends = [accuracy_interval(value, content.validation_images) for value in y]
        below = [value - low for value, (low, _) in zip(y, ends, strict=True)]
        above = [high - value for value, (_, high) in zip(y, ends, strict=True)]
        bars = [below, above]
    axes.errorbar(x, y, yerr=bars, fmt="o", color=BLUE, ms=5, elinewidth=0.8, alpha=0.8)
    least, most = min(*x, *y), max(*x, *y)
    axes.plot([least, most], [least, most], color=INK, lw=1, ls="--", label="equal")
    name = content.ranking.metric.replace("_", " ")
    axes.set_xlabel(f"{name} with the supernet's weights, % (validation)")
    axes.set_ylabel(f"{name} when trained alone, % (validation)")
    percent(axes)
    percent(axes, across=True)
    axes.legend(loc="lower right", fontsize=8)
    return png(drawn)


def table(content: ReportContent) -> Table:
    """How well each score ranks the networks."""
    head = ("score", "Kendall tau", "Spearman", "top-5 regret", "nDCG", "tau below the first")
    if content.ranking is None:
        return Table("", head, [])
    rows = [
        (
            each.score,
            _shown(each.tau),
            _shown(each.spearman),
            _points(each.regret),
            _shown(each.ndcg),
            _shown(each.behind),
        )
        for each in content.ranking.agreements
    ]
    caption = (
        f"How well each score ranks {len(content.ranking.networks)} networks as their own "
        f"accuracies do, with 90 % intervals from bootstraps. Each was {content.ranking.recipe}. "
        "The regret is what is lost by training only the five that the score puts first."
    )
    return Table(caption, head, rows)


def _shown(figure: Estimate) -> str:
    return f"{figure.value:.2f} ({figure.low:.2f} to {figure.high:.2f})"


def _points(figure: Estimate) -> str:
    low, high = 100 * figure.low, 100 * figure.high
    return f"{100 * figure.value:.1f} points ({low:.1f} to {high:.1f})"
