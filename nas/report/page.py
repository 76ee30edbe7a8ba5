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
    environment_table,
    front_table,
    retrained_table,
    settings_table,
)
from nas.storage import atomic_write

FIGURES: dict[str, Callable[[ReportContent], bytes | None]] = {
    "front": figures.front,
    "hypervolume": figures.hypervolume,
    "latency": figures.latency,
    "supernet": figures.supernet,
    "architecture": lambda content: drawing.architecture(content.best),
}
"""Name of each figure's file, and what draws it."""

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
    pictures = {name: picture for name, picture in drawn.items() if picture is not None}
    for name, picture in pictures.items():
        atomic_write(run / "figures" / f"{name}.png", picture)
    page = run / "report.html"
    atomic_write(page, render(content, pictures))
    return page


def render(content: ReportContent, pictures: dict[str, bytes]) -> str:
    """The page's text."""
    sections = (
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
        target=escape(content.target),
        facts=_facts(content),
        body="\n".join(section for section in sections if section),
    )


def _facts(content: ReportContent) -> str:
    """The run in a few numbers."""
    facts = [("Architectures evaluated", f"{len(content.records):,}")]
    facts.append(("On the front", str(len(content.front))))
    limits = content.budgets.limits()
    if "latency_ms" in limits:
        facts.insert(0, ("Latency budget", f"{limits['latency_ms']:g} ms"))
    tested = [member for member in content.front if member.test_accuracy is not None]
    if tested:
        best = max(tested, key=lambda member: member.test_accuracy or 0.0)
        facts.append(("Best test accuracy, retrained", f"{best.test_accuracy:.2%}"))
        took = best.predicted_ms if best.measured_ms is None else best.measured_ms
        how = "predicted" if best.measured_ms is None else "measured"
        facts.append((f"Its latency, {how}", f"{took:.3g} ms"))
    rows = "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in facts)
    return f'<dl class="facts">{rows}</dl>'


def _front(content: ReportContent, pictures: dict[str, bytes]) -> str:
    if not content.front:
        return _section("The front", "<p>The search has found no front yet.</p>")
    caption = (
        "Each grey point is one architecture with the supernet's shared weights, at its predicted "
        "latency. The line joins the architectures that no other one beats in both."
    )
    if content.budgets.limits():
        caption += f" A latency budget is checked against the upper end of the {content.interval}."
    if any(member.test_accuracy is not None for member in content.front):
        caption += " Stars are retrained networks, scored on the test split: another scale."
    return _section(
        "The front",
        _figure(pictures, "front", "Accuracy against latency of all evaluations", caption)
        + front_table(content),
    )


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
    accuracy, latency_ms = content.reference_point
    caption = (
        "The area between the front and the reference point (accuracy "
        f"{accuracy:.1%}, {latency_ms:.3g} ms), as a share of the box up to accuracy 100 % and "
        "0 ms. Evaluations beyond a budget add nothing."
    )
    if "random" not in content.hypervolumes:
        caption += " No random search was run to compare with."
    return _section(
        "The search",
        _figure(pictures, "hypervolume", "Hypervolume over evaluations", caption),
    )


def _latency(content: ReportContent, pictures: dict[str, bytes]) -> str:
    if "latency" not in pictures:
        return ""
    pairs = content.latency_pairs
    caption = f"On {content.target}."
    if pairs:
        near = sum(abs(p.predicted_ms / p.measured_ms - 1) <= 0.1 for p in pairs)
        inside = sum(p.low_ms <= p.measured_ms <= p.high_ms for p in pairs)
        caption += (
            f" Of {len(pairs)} held-out networks, {near} were predicted within 10 % and {inside} "
            f"lie within their {content.interval}."
        )
    return _section(
        "Predicted and measured latency",
        _figure(pictures, "latency", "Measured against predicted latency", caption),
    )


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
