"""The page: one HTML file with everything in it, readable from any folder, without a network."""

from __future__ import annotations

import base64
import importlib.resources
from collections.abc import Callable
from html import escape
from pathlib import Path
from string import Template

from nas.report import drawing, figures
from nas.report.content import ReportContent
from nas.report.style import png_size
from nas.report.tables import (
    answers_table,
    environment_table,
    front_table,
    retrained_table,
    settings_table,
    surrogates_table,
)
from nas.search.objectives import limits_in_words
from nas.storage import atomic_write

FIGURES: dict[str, Callable[[ReportContent], bytes | None]] = {
    "hypervolume": figures.hypervolume,
    "supernet": figures.supernet,
    "architecture": lambda content: drawing.architecture(content.best),
}
"""Name of each figure's file, and what draws it."""

FIGURES_OF_TARGETS: dict[str, Callable[[ReportContent, int], bytes | None]] = {
    "front": figures.front,
    "latency": figures.latency,
}
"""The same for figures of one target each; those after the first have its number in the name."""

ON_PAGE = 0.77
"""Pixels of the page per pixel of a figure: letters as large as the captions'."""


def write_report(run: Path, content: ReportContent) -> Path:
    """Draw the figures to `run/figures/` and write `run/report.html`.

    Returns:
        The page.

    Raises:
        RunError, StorageError: the folder cannot be written to, or the disk is full.
    """
    drawn = {name: draw(content) for name, draw in FIGURES.items()}
    for target in range(len(content.targets)):
        for name, draw_for in FIGURES_OF_TARGETS.items():
            drawn[_numbered(name, target)] = draw_for(content, target)
    pictures = {name: picture for name, picture in drawn.items() if picture is not None}
    for name, picture in pictures.items():
        atomic_write(run / "figures" / f"{name}.png", picture)
    page = run / "report.html"
    atomic_write(page, render(content, pictures))
    return page


def render(content: ReportContent, pictures: dict[str, bytes]) -> str:
    """The page's text."""
    sections = (
        _answers(content),
        _front(content, pictures),
        _use(content),
        _best(content, pictures),
        _search(content, pictures),
        _latency(content, pictures),
        _supernet(content, pictures),
        _notes(content),
        _conditions(content),
    )
    template = importlib.resources.files("nas.report").joinpath("page.html").read_text("utf-8")
    return Template(template).substitute(
        title=escape(content.title),
        targets="Targets" if len(content.targets) > 1 else "Target",
        target=escape(content.target),
        facts=_facts(content),
        body="\n".join(section for section in sections if section),
    )


def _facts(content: ReportContent) -> str:
    """The run in a few numbers."""
    facts = [("Architectures evaluated", f"{len(content.records):,}")]
    facts.append(("On the front", str(len(content.front))))
    if content.budgets.limits_latency:
        names = [target.name for target in content.targets]
        asked = [limits_in_words(limits, names) for limits in content.budgets.budget_sets]
        kind = "Latency budget" if len(asked) == 1 else "Latency budgets"
        facts.insert(0, (kind, ", ".join(asked)))
    tested = [member for member in content.front if member.test_accuracy is not None]
    if tested:
        best = max(tested, key=lambda member: member.test_accuracy or 0.0)
        facts.append(("Best test accuracy, retrained", f"{best.test_accuracy:.2%}"))
        for target, latency in enumerate(best.latencies):
            how = "predicted" if latency.measured_ms is None else "measured"
            facts.append((f"Its latency{content.on(target)}, {how}", f"{latency.ms:.3g} ms"))
    rows = "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in facts)
    return f'<dl class="facts">{rows}</dl>'


def _answers(content: ReportContent) -> str:
    table = answers_table(content)
    return _section("The best network for each budget", table) if table else ""


def _front(content: ReportContent, pictures: dict[str, bytes]) -> str:
    if not content.front:
        return _section("The front", "<p>The search has found no front yet.</p>")
    caption = (
        "Each grey point is one architecture with the supernet's shared weights, at its predicted "
        "latency. The line joins the architectures that no other one beats in both."
    )
    if len(content.targets) > 1:
        caption += " Points of the front beside it are faster on another target."
    if content.budgets:
        caption += f" A latency budget is checked against the upper end of the {content.interval}."
    if any(member.test_accuracy is not None for member in content.front):
        caption += " Stars are retrained networks, scored on the test split: another scale."
    alt = "Accuracy against latency of all evaluations"
    drawn = [
        _figure(pictures, _numbered("front", target), f"{alt}{content.on(target)}", said)
        for target, said in enumerate([caption, *[""] * (len(content.targets) - 1)])
    ]
    return _section("The front", "".join(drawn) + front_table(content))


def _use(content: ReportContent) -> str:
    if not content.exported:
        return ""
    folder = str(content.exported[0])
    side = content.best.resolution if content.best is not None else "R"
    lines = [
        "from nas.export import load_exported",
        f"network = load_exported({folder!r})",
        f"scores = network(images)    # images: (batch, channels, {side}, {side}), normalised as",
        "                            # architecture.yaml in that folder says",
        "",
        "# or with timm:",
        "import nas.timm, timm",
        f"network = timm.create_model({'local-dir:' + folder!r}, pretrained=True)",
    ]
    listed = "".join(f"<li><code>{escape(str(path))}</code></li>" for path in content.exported)
    return _section(
        "Use the network",
        f"<p>Exported:</p><ul>{listed}</ul><pre>{escape(chr(10).join(lines))}</pre>",
    )


def _best(content: ReportContent, pictures: dict[str, bytes]) -> str:
    if content.best is None:
        return ""
    alt = drawing.describe(content.best)
    caption = f"Network {content.best.id}. In a block: what mixes positions, then channels."
    body = _figure(pictures, "architecture", alt, caption) + retrained_table(content)
    return _section("The chosen network", body)


def _search(content: ReportContent, pictures: dict[str, bytes]) -> str:
    if "hypervolume" not in pictures or content.reference_point is None:
        return ""
    accuracy, *latencies = content.reference_point
    corner = ", ".join(f"{ms:.3g} ms{content.on(t)}" for t, ms in enumerate(latencies))
    caption = (
        f"The {'area' if len(latencies) == 1 else 'volume'} between the front and the reference "
        f"point (accuracy {accuracy:.1%}, {corner}), as a share of the box up to accuracy 100 % "
        "and 0 ms. Evaluations beyond a budget add nothing."
    )
    if "random" not in content.hypervolumes:
        caption += " No random search was run to compare with."
    return _section(
        "The search",
        _figure(pictures, "hypervolume", "Hypervolume over evaluations", caption)
        + surrogates_table(content),
    )


def _latency(content: ReportContent, pictures: dict[str, bytes]) -> str:
    alt = "Measured against predicted latency"
    drawn = [
        _figure(
            pictures,
            _numbered("latency", number),
            f"{alt}{content.on(number)}",
            _held_out(content, number),
        )
        for number in range(len(content.targets))
    ]
    return _section("Predicted and measured latency", "".join(drawn)) if any(drawn) else ""


def _held_out(content: ReportContent, target: int) -> str:
    """How well a target's predictions meet what was measured."""
    caption, pairs = f"On {content.targets[target].words}.", content.held_out_on(target)
    if pairs:
        near = sum(abs(p.predicted_ms / p.ms - 1) <= 0.1 for p in pairs)
        inside = sum(p.low_ms <= p.ms <= p.high_ms for p in pairs)
        caption += (
            f" Of {len(pairs)} held-out networks, {near} were predicted within 10 % and {inside} "
            f"lie within their {content.interval}."
        )
    return caption


def _supernet(content: ReportContent, pictures: dict[str, bytes]) -> str:
    if "supernet" not in pictures:
        return ""
    caption = "Children on the shared weights' moving averages, on the validation split."
    return _section(
        "The supernet",
        _figure(pictures, "supernet", "Validation accuracy of children over epochs", caption),
    )


def _notes(content: ReportContent) -> str:
    listed = "".join(f"<li>{escape(note)}</li>" for note in content.notes)
    return _section("Notes", f"<ul>{listed}</ul>") if listed else ""


def _conditions(content: ReportContent) -> str:
    tables = settings_table(content) + environment_table(content)
    return _section("Settings and environment", tables) if tables else ""


def _numbered(name: str, target: int) -> str:
    """What the figure of a target is called."""
    return name if target == 0 else f"{name}-{target + 1}"


def _section(title: str, body: str) -> str:
    return f"<section>\n<h2>{escape(title)}</h2>\n{body}\n</section>"


def _figure(pictures: dict[str, bytes], name: str, alt: str, caption: str) -> str:
    if name not in pictures:
        return ""
    encoded = base64.b64encode(pictures[name]).decode()
    width, height = (round(side * ON_PAGE) for side in png_size(pictures[name]))
    return (
        f'<figure><img alt="{escape(alt)}" width="{width}" height="{height}" '
        f'src="data:image/png;base64,{encoded}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )
